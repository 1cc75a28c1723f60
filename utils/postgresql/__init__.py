"""Django's PostgreSQL backend, with pooled connections that are checked by polling their sockets."""
