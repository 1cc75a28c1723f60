"""The event stream of a user: notifications, and the progress of their AI tasks."""

from django.http import HttpResponseBase
from rest_framework.request import Request

from accounts.views.streams import StreamView, client_of, stream_schema
from notifications.serializers import UserEventDataSerializer
from utils.http.errors import Unavailable
from utils.http.requests import user_id_of
from utils.redis.client import RedisUnavailable
from utils.streaming.sse import EventStream, InvalidLastEventId, read_last_id, requested_last_event_id, stream_response
from utils.streaming.user_events import user_stream


class NotificationStreamView(StreamView):
    """Notifications and the user's task events."""

    @stream_schema(
        operation_id="streamNotifications",
        data=UserEventDataSerializer,
        events={
            "notification": "PendingNotification",
            "task.progress": "TaskProgressEvent",
            "task.succeeded": "TaskEndedEvent",
            "task.failed": "TaskEndedEvent",
            "task.cancelled": "TaskEndedEvent",
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Stream notifications.

        Notifications and the progress of your AI tasks, from now on or after the last event id. Events are kept for an
        hour, at most 200: `?last_event_id=0-0` requests all of them. To miss nothing, open the stream first and then
        get the pending notifications. A 503 means that nothing can be streamed right now: poll instead.
        """
        user_id = user_id_of(request)
        key, channel = user_stream(user_id)
        after = requested_last_event_id(request)
        if after.endswith("-end"):
            raise InvalidLastEventId  # the id of the last event of a task's stream, which is not in this stream
        try:
            after = after or read_last_id(key)
        except RedisUnavailable as error:
            raise Unavailable("Event streams are unavailable right now. Poll instead.", retry_after=30) from error
        return stream_response(EventStream(client_of(request), key=key, channel=channel, after=after))
