"""PostgreSQL beyond Django's ORM: batches and compiled queries."""
