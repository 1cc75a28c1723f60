"""One pub/sub connection per process, shared by all subscriptions.

A message only wakes its subscriptions, which then read the data. All subscriptions are woken after a reconnect, so
nothing is lost while the connection is down. Works with threads and with gevent's greenlets.
"""

import logging
import random
import threading
import time
from collections import deque
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.05
"""How long a new subscription may wait to be sent, as only the listening thread uses the socket (TLS needs that)."""
SILENCE_SECONDS = 5.0
"""After this long without data a PING is sent; after the same time again the connection counts as broken."""
RECONNECT_SECONDS = 0.5
_CHANNELS_PER_COMMAND = 500
_CONNECTION_ERRORS = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)


class Subscription:
    """Waits for messages of one channel. May be closed more than once."""

    def __init__(self, listener: "Listener", channel: bytes) -> None:
        self._listener = listener
        self._channel = channel
        self._woken = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for a message; False if there was none. Read the data afterwards, as a later message wakes it again."""
        if not self._woken.wait(seconds):
            return False
        self._woken.clear()
        return True

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        self._listener.unsubscribe(self._channel, self)


class Listener:
    """Keeps one connection subscribed to the channels of all subscriptions, while there are any."""

    def __init__(self) -> None:
        self._subscriptions: dict[bytes, set[Subscription]] = {}
        self._confirmed: set[bytes] = set()
        self._unsent: deque[tuple[str, bytes]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_connected = False
        """Whether messages are received; if not, the owners of subscriptions should poll."""

    def __len__(self) -> int:
        """How many channels have subscriptions."""
        return len(self._subscriptions)

    def subscribe(self, channel: str) -> Subscription:
        """Subscribe to a channel. The subscription is woken once the server has confirmed it: read the data then."""
        name = channel.encode()
        subscription = Subscription(self, name)
        with self._lock:
            others = self._subscriptions.setdefault(name, set())
            if not others:
                self._unsent.append(("SUBSCRIBE", name))
            elif name in self._confirmed:
                subscription.wake()  # the channel is confirmed already
            others.add(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="redis-listener", daemon=True)
                self._thread.start()
        return subscription

    def unsubscribe(self, channel: bytes, subscription: Subscription) -> None:
        with self._lock:
            others = self._subscriptions.get(channel)
            if others is None or subscription not in others:
                return
            others.remove(subscription)
            if not others:
                del self._subscriptions[channel]
                self._confirmed.discard(channel)
                self._unsent.append(("UNSUBSCRIBE", channel))

    def _run(self) -> None:
        while self._has_subscriptions():
            connection = _new_connection()
            try:
                connection.connect()
                self._resubscribe(connection)
                self._listen(connection)
            except _CONNECTION_ERRORS as error:
                logger.warning("The pub/sub connection to Redis failed, reconnecting: %s", error)
                self.is_connected = False
                time.sleep(RECONNECT_SECONDS * random.uniform(1.0, 2.0))
            finally:
                self.is_connected = False
                connection.disconnect()

    def _has_subscriptions(self) -> bool:
        with self._lock:
            if not self._subscriptions:
                self._thread = None
            return self._thread is not None

    def _resubscribe(self, connection: Any) -> None:
        with self._lock:
            channels = list(self._subscriptions)
            self._confirmed.clear()
            self._unsent.clear()
        for first in range(0, len(channels), _CHANNELS_PER_COMMAND):
            connection.send_command("SUBSCRIBE", *channels[first : first + _CHANNELS_PER_COMMAND], check_health=False)
        self.is_connected = True

    def _listen(self, connection: Any) -> None:
        """Receive messages and wake their subscriptions, until there are none or the connection breaks."""
        received_at, pinged = time.monotonic(), False
        while self._subscriptions:
            while self._unsent:
                connection.send_command(*self._unsent.popleft(), check_health=False)
            try:
                message = connection.read_response(timeout=TICK_SECONDS, disconnect_on_error=False)
            except redis.TimeoutError:
                silence = time.monotonic() - received_at
                if silence > 2 * SILENCE_SECONDS:
                    raise
                if silence > SILENCE_SECONDS and not pinged:
                    connection.send_command("PING", check_health=False)
                    pinged = True
                continue
            received_at, pinged = time.monotonic(), False
            if isinstance(message, list) and message[0] in (b"subscribe", b"message"):
                self._wake(message[1])

    def _wake(self, channel: bytes) -> None:
        """Wake the channel's subscriptions. Both a confirmation and a message show that the channel is subscribed."""
        with self._lock:
            woken = list(self._subscriptions.get(channel, ()))
            if woken:
                self._confirmed.add(channel)
        for subscription in woken:
            subscription.wake()


def _new_connection() -> Any:
    return redis.ConnectionPool.from_url(
        settings.REDIS_URL,
        protocol=2,  # RESP 2, in which messages are ordinary replies
        socket_timeout=SILENCE_SECONDS,
        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ).make_connection()


listener = Listener()
