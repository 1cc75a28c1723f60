"""How Django connects to PostgreSQL."""

from typing import Any

from utils.postgresql.base import BoundedConnection


def database(
    of_url: dict[str, Any], *, pooler: str, pool_max: int, connection_timeout: int, query_timeout: int
) -> dict[str, Any]:
    """An entry of Django's ``DATABASES``, from what the URL contains and our own options.

    ``pooler`` is a value of ``DATABASE_POOLER``; ``connection_timeout`` is in seconds, ``query_timeout`` in ms.
    """
    # A pooler refuses start-up options that it does not know; see ``BoundedConnection``.
    ours = [f"-c statement_timeout={query_timeout}"] if pooler == "none" else []
    return {
        **of_url,
        "ENGINE": "utils.postgresql",
        # The backend checks its pooled connections itself, so Django need not query the server for each.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # a pooler would lose them, and no code needs them
        "OPTIONS": {
            "connect_timeout": connection_timeout,
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 5,
            **of_url["OPTIONS"],
            # The URL's options come last, so they take precedence.
            "options": " ".join([*ours, of_url["OPTIONS"].get("options", "")]).strip(),
            "server_side_binding": True,
            # A connection's third run of a statement prepares it: planning a list takes longer than running it.
            "prepare_threshold": None if pooler == "transaction" else 2,
            # A pool keeps connections between requests: reconnecting costs about 10 ms each time.
            # After each failure to connect the pool doubles its delay. Giving up and starting over after 3 s keeps the
            # delay short, so that a server which is back is found within 2 s.
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
