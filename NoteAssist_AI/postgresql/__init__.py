"""Django's PostgreSQL backend, with a pool whose connections are looked at instead of asked."""
