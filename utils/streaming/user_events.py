"""The event stream of a user in Redis: notifications, and the progress of their AI tasks.

Scripts that change other keys append to it in the same atomic step, with the Lua function below.
"""

from utils.redis.client import channel

EVENTS_KEPT = 200
SECONDS_KEPT = 3600

APPEND_USER_EVENT = f"""
local function append_user_event(events, channel, event, data, announcement)
  redis.call('XADD', events, 'MAXLEN', '~', {EVENTS_KEPT}, '*', 'event', event, 'data', data)
  redis.call('EXPIRE', events, {SECONDS_KEPT})
  redis.call('PUBLISH', channel, announcement)
end
"""


def user_events_key(user_id: int) -> str:
    """The key of the Redis stream. Its entries have ``event`` and ``data`` (JSON)."""
    return f"events:user:{user_id}"


def user_stream(user_id: int) -> tuple[str, str]:
    """The key of the Redis stream, and the pub/sub channel on which new events are announced."""
    return user_events_key(user_id), channel(f"user:{user_id}")
