"""What the service costs, compared with other implementations: see docs/performance.md."""
