"""How a worker treats messages whose broker was lost while their tasks were running. Only workers import it."""

from typing import Any

from celery.worker import request


class Request(request.Request):
    """Lets a message go that can no longer be acknowledged: rows tell what is to be done, not the broker.

    When the broker is lost kombu closes the channel of the messages that a worker holds. To acknowledge one of them
    there, once its task has ended, raises an ``AttributeError`` that nobody expects, and the worker would end with it.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        # The channel may also be closed between the look at it and the acknowledgement, which another thread sends.
        options["connection_errors"] = (*(options.get("connection_errors") or ()), AttributeError)
        super().__init__(message, **options)
        self._channel = message.channel

    def acknowledge(self) -> None:
        if not self._channel.closed:
            super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        if not self._channel.closed:
            super().reject(requeue=requeue)
