"""What a user's open pages are told as it happens: notifications, and how their AI tasks go."""

from django.http import HttpResponseBase
from rest_framework.request import Request

from accounts.stream_access import StreamView, client_of, stream_schema
from notifications.inbox import user_channel, user_events_key
from utils.exceptions import Unavailable
from utils.redis import RedisUnavailable
from utils.requests import user_id_of
from utils.sse import EventStream, InvalidLastEventId, read_last_id, requested_last_event_id, stream_response


class NotificationStreamView(StreamView):
    """Notifications and the user's task events, from now on or after the last event id.

    Events: `notification`, `task.progress`, `task.succeeded`, `task.failed`, `task.cancelled`. The last hour is kept,
    up to 200 events: `?last_event_id=0-0` asks for all of it. To miss nothing open the stream first, then get what is
    pending. Without Redis the answer is 503: poll.
    """

    @stream_schema(operation_id="notifications_stream")
    def get(self, request: Request) -> HttpResponseBase:
        user_id = user_id_of(request)
        key = user_events_key(user_id)
        after = requested_last_event_id(request)
        if after.endswith("-end"):
            raise InvalidLastEventId  # the last one of a task's own stream, which is no place in this one
        try:
            after = after or read_last_id(key)
        except RedisUnavailable as error:
            raise Unavailable("Nothing can be streamed right now. Poll instead.") from error
        return stream_response(EventStream(client_of(request), key=key, channel=user_channel(user_id), after=after))
