"""HTTP for all apps: errors, JSON, pagination, idempotency, health."""
