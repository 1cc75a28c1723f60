"""Django's cache: a Redis that all processes share, or the memory of one process."""

from typing import Any


def caches(url: str, *, lifetime: int, timeout: float, connections: int, pool_wait: float) -> dict[str, Any]:
    """``CACHES`` for a URL; ``locmem:`` is the memory of one process. All times in seconds."""
    if url.startswith("locmem:"):
        return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": lifetime}}
    return {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": url,
            "TIMEOUT": lifetime,
            "KEY_PREFIX": "cache",
            "OPTIONS": {
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_TIMEOUT": timeout,
                "SOCKET_CONNECT_TIMEOUT": timeout,
                "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
                "CONNECTION_POOL_KWARGS": {"max_connections": connections, "timeout": pool_wait},
            },
        }
    }
