"""The broker's transport: kombu's for Redis, but for how many clients it makes."""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """Sends its commands with one client. kombu makes one for each, which takes longer than sending it."""

    _sender: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:  # one that listens has a connection to itself
            return super()._create_client(asynchronous)  # type: ignore[misc]  # the stubs have only what is public
        if self._sender is None or self._sender.connection_pool is not self.pool:
            self._sender = super()._create_client()  # type: ignore[misc]
        return self._sender


class Transport(redis.Transport):
    Channel = Channel


def use() -> None:
    """Have kombu take this transport for every URL of a Redis."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
