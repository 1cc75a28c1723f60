"""Who may open an event stream: the base of the views that answer with one."""

import threading
from collections.abc import Callable
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import state
from accounts.authentication import SessionJWTAuthentication, claims_of
from accounts.tokens import AccessClaims, read_ticket
from utils.admission import Subject
from utils.redis import RedisUnavailable
from utils.sse import MEDIA_TYPE
from utils.sse_clients import StreamClient

OPENING_AT_ONCE = 16

# When a process has been restarted all its clients come at once. Those that wait here need no connection yet.
_doors = threading.BoundedSemaphore(OPENING_AT_ONCE)


class TicketAuthentication(SessionJWTAuthentication):
    """A ticket in ``?ticket=``: a browser's ``EventSource`` sends no headers of one's own."""

    def read_claims(self, request: Request) -> AccessClaims | None:
        ticket = request.query_params.get("ticket")
        return read_ticket(ticket) if ticket else None


class StreamView(APIView):
    """Answers GET with an event stream of the signed-in user."""

    http_method_names = ["get", "options"]  # no HEAD, whose answer would never end
    authentication_classes = (SessionJWTAuthentication, TicketAuthentication)
    throttle_scopes = ("poll",)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with _doors:
            return super().dispatch(request, *args, **kwargs)


def client_of(request: Request) -> StreamClient:
    """Take a place for the stream's reader, until what they showed expires. Raises ``TooManyStreams``."""
    claims = claims_of(request)
    request._request.resolver_match = None  # every URL that was tried: 5 kB that a stream would keep
    subject = Subject(claims.user_id, claims.session_id, claims.token_version)

    def is_allowed() -> bool:
        try:
            return not state.is_marked(subject)
        except RedisUnavailable:
            return True  # the stream ends when the token does

    return StreamClient(request._request, user_id=claims.user_id, expires_at=claims.expires_at, is_allowed=is_allowed)


def stream_schema(*, operation_id: str) -> Callable[[Any], Any]:
    """Describe a stream to clients: what it takes, and that it answers with events."""
    last_event_id = "Go on after this event. The header wins."
    return extend_schema(
        operation_id=operation_id,
        parameters=[
            OpenApiParameter("last_event_id", str, description=last_event_id),
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description=last_event_id),
        ],
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.STR, "Server-sent events."),
            204: OpenApiResponse(description="There will be no more events."),
        },
    )
