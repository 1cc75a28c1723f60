"""What the service costs, and beside what: see docs/performance.md."""
