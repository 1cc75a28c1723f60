"""How Django connects to PostgreSQL."""

from typing import Any

from NoteAssist_AI.postgresql.base import BoundedConnection


def database(
    of_url: dict[str, Any], *, pooler: str, pool_max: int, connection_timeout: int, query_timeout: int
) -> dict[str, Any]:
    """One of Django's ``DATABASES``: what its URL says, and how we use it.

    ``pooler`` is that of ``DATABASE_POOLER``, ``connection_timeout`` is in seconds, ``query_timeout`` in milliseconds.
    """
    # A pooler takes no options but those that it knows; see ``BoundedConnection``.
    ours = [f"-c statement_timeout={query_timeout}"] if pooler == "none" else []
    return {
        **of_url,
        "ENGINE": "NoteAssist_AI.postgresql",
        # The engine looks after its pooled connections itself, so Django need not ask the server about each.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # they are lost behind a pooler, and nothing here needs one
        "OPTIONS": {
            "connect_timeout": connection_timeout,
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 5,
            **of_url["OPTIONS"],
            # The URL's own come last, and win.
            "options": " ".join([*ours, of_url["OPTIONS"].get("options", "")]).strip(),
            "server_side_binding": True,
            # A connection's third run of a statement prepares it: planning a list takes longer than running it.
            "prepare_threshold": None if pooler == "transaction" else 2,
            # A pool keeps connections between requests: reconnecting costs about 10 ms each time.
            # It waits twice as long after each failure to connect; begun anew after 3 s, it finds a server that is
            # back in 2 s.
            "pool": {
                "connection_class": BoundedConnection,
                "min_size": 1,
                "max_size": pool_max,
                "timeout": 5,
                "max_idle": 300,
                "reconnect_timeout": 3,
            },
        },
    }
