"""One connection per process that hears what is published in Redis, shared by everybody who waits for news.

A message only wakes: whoever is woken reads what there is. So nothing is lost while the connection is away, because
everybody is woken once it is back. Works with threads and with gevent's greenlets alike.
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
"""How long a new subscription may wait to be sent: only the listening thread touches its socket, as TLS demands."""
SILENCE_SECONDS = 5.0
"""After this long without a word the server is asked whether it is there, and given as long to answer."""
RECONNECT_SECONDS = 0.5
_CHANNELS_PER_COMMAND = 500
_BREAKS = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, OSError)


class Subscription:
    """Somebody who waits for news of one channel. Closing it twice does no harm."""

    def __init__(self, listener: "Listener", channel: bytes) -> None:
        self._listener = listener
        self._channel = channel
        self._news = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for news; False if there was none. Read after this returns: what comes later wakes again."""
        if not self._news.wait(seconds):
            return False
        self._news.clear()
        return True

    def wake(self) -> None:
        self._news.set()

    def close(self) -> None:
        self._listener.forget(self._channel, self)


class Listener:
    """Keeps one connection subscribed to every channel that somebody waits for, as long as anybody does."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, set[Subscription]] = {}
        self._confirmed: set[bytes] = set()
        self._unsent: deque[tuple[str, bytes]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_connected = False
        """Whether waiting can be relied upon; else whoever waits should look for news from time to time."""

    def subscribe(self, channel: str) -> Subscription:
        """Begin to wait for news. The subscription is woken once the server has confirmed it, so read after that."""
        name = channel.encode()
        subscription = Subscription(self, name)
        with self._lock:
            others = self._waiting.setdefault(name, set())
            if not others:
                self._unsent.append(("SUBSCRIBE", name))
            elif name in self._confirmed:
                subscription.wake()  # whoever was first has heard of it already
            others.add(subscription)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="redis-listener", daemon=True)
                self._thread.start()
        return subscription

    def forget(self, channel: bytes, subscription: Subscription) -> None:
        with self._lock:
            others = self._waiting.get(channel)
            if others is None or subscription not in others:
                return
            others.remove(subscription)
            if not others:
                del self._waiting[channel]
                self._confirmed.discard(channel)
                self._unsent.append(("UNSUBSCRIBE", channel))

    def _run(self) -> None:
        while self._is_wanted():
            connection = _new_connection()
            try:
                connection.connect()
                self._resume(connection)
                self._listen(connection)
            except _BREAKS as error:
                logger.warning("Redis cannot be listened to, trying again: %s", error)
                self.is_connected = False
                time.sleep(RECONNECT_SECONDS * random.uniform(1.0, 2.0))
            finally:
                self.is_connected = False
                connection.disconnect()

    def _is_wanted(self) -> bool:
        with self._lock:
            if not self._waiting:
                self._thread = None
            return self._thread is not None

    def _resume(self, connection: Any) -> None:
        with self._lock:
            channels = list(self._waiting)
            self._confirmed.clear()
            self._unsent.clear()
        for first in range(0, len(channels), _CHANNELS_PER_COMMAND):
            connection.send_command("SUBSCRIBE", *channels[first : first + _CHANNELS_PER_COMMAND], check_health=False)
        self.is_connected = True

    def _listen(self, connection: Any) -> None:
        """Wake whoever a message is for, until nobody waits or the connection breaks."""
        heard_at, asked = time.monotonic(), False
        while self._waiting:
            while self._unsent:
                connection.send_command(*self._unsent.popleft(), check_health=False)
            try:
                message = connection.read_response(timeout=TICK_SECONDS, disconnect_on_error=False)
            except redis.TimeoutError:
                silence = time.monotonic() - heard_at
                if silence > 2 * SILENCE_SECONDS:
                    raise
                if silence > SILENCE_SECONDS and not asked:
                    connection.send_command("PING", check_health=False)
                    asked = True
                continue
            heard_at, asked = time.monotonic(), False
            if isinstance(message, list) and message[0] in (b"subscribe", b"message"):
                self._wake(message[1])

    def _wake(self, channel: bytes) -> None:
        """Wake whoever waits. What comes on a channel, confirmation or message, says that it is subscribed."""
        with self._lock:
            woken = list(self._waiting.get(channel, ()))
            if woken:
                self._confirmed.add(channel)
        for subscription in woken:
            subscription.wake()


def _new_connection() -> Any:
    return redis.ConnectionPool.from_url(
        settings.REDIS_URL,
        protocol=2,  # in which messages are ordinary answers
        socket_timeout=SILENCE_SECONDS,
        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    ).make_connection()


listener = Listener()
