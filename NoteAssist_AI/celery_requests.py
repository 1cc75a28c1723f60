"""Messages of running tasks after a worker has lost its broker connection. Only workers import this module."""

from typing import Any

from celery.worker import request


class Request(request.Request):
    """Drops a message that can no longer be acknowledged, as rows, not the broker, define what is to be done.

    When the connection is lost, kombu closes the channel of the messages that a worker holds. Acknowledging one of them
    later, when its task has ended, raises an ``AttributeError`` that would end the worker.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        # Another thread acknowledges the message, so the channel may also be closed after the check above.
        options["connection_errors"] = (*(options.get("connection_errors") or ()), AttributeError)
        super().__init__(message, **options)
        self._channel = message.channel

    def acknowledge(self) -> None:
        if not self._channel.closed:
            super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        if not self._channel.closed:
            super().reject(requeue=requeue)
