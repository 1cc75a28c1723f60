"""The base of views that respond with an event stream: authentication, limits and the end of a stream's session."""

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import starmap
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import SessionJWTAuthentication, claims_of
from accounts.models import Session
from accounts.tokens import AccessClaims, read_ticket
from utils.admission.gate import Subject
from utils.streaming.clients import StreamClient, TooManyStreams
from utils.streaming.liveness import LivenessPoller
from utils.streaming.sse import MEDIA_TYPE, InvalidLastEventId

_EVENT_ID = {"type": "string", "pattern": "^[0-9]{1,19}-([0-9]{1,19}|end)$"}
MAX_OPENING = 16
ACCESS_CHECK_SECONDS = 30
"""How often the sessions of open streams are checked in the database, as a revocation marker in Redis may be missing.
"""

# After a restart of the process all its clients reconnect at once. While they wait here, they hold no database
# connection.
_opening_slots = threading.BoundedSemaphore(MAX_OPENING)


class TicketAuthentication(SessionJWTAuthentication):
    """A ticket in ``?ticket=``: a browser's ``EventSource`` cannot send an ``Authorization`` header."""

    def read_claims(self, request: Request) -> AccessClaims | None:
        ticket = request.query_params.get("ticket")
        return read_ticket(ticket) if ticket else None


class StreamView(APIView):
    """Responds to GET with an event stream of the signed-in user."""

    http_method_names = ["get", "options"]  # no HEAD: its response would never end
    authentication_classes = (SessionJWTAuthentication, TicketAuthentication)
    throttle_scopes = ("poll",)
    query_parameters = {"get": ("ticket", "last_event_id")}
    errors = {"get": (InvalidLastEventId, TooManyStreams)}

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with _opening_slots:
            return super().dispatch(request, *args, **kwargs)


def _live(subjects: list[Subject]) -> Iterator[Subject]:
    live = Session.objects.live().filter(pk__in=[subject.session_id for subject in subjects])
    return starmap(Subject, live.values_list("user_id", "pk", "user__token_version"))


ended_sessions = LivenessPoller(_live, seconds=ACCESS_CHECK_SECONDS)


def client_of(request: Request) -> StreamClient:
    """Reserve a stream slot for the client, until its credential expires or its session ends.

    Raises ``TooManyStreams``.
    """
    claims = claims_of(request)
    request._request.resolver_match = None  # it lists every URL pattern that was tried: 5 kB for the life of a stream
    subject = Subject(claims.user_id, claims.session_id, claims.token_version)
    return StreamClient(request._request, subject, expires_at=claims.expires_at, ended_sessions=ended_sessions)


def stream_schema(*, operation_id: str, data: Any, events: Mapping[str, str]) -> Callable[[Any], Any]:
    """Describe a stream in the API's description: its parameters, and its events by name and schema."""
    told = "\n".join(f"- `{name}`: `{schema}`" for name, schema in events.items())
    last_event_id = "Continue after the event with this id. The header takes precedence."
    return extend_schema(
        operation_id=operation_id,
        parameters=[
            OpenApiParameter("last_event_id", _EVENT_ID, description=last_event_id),
            OpenApiParameter("Last-Event-ID", _EVENT_ID, OpenApiParameter.HEADER, description=last_event_id),
        ],
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(
                data, f"Server-sent events. The schema is that of an event's data.\n\n{told}"
            ),
            204: OpenApiResponse(description="There will be no more events."),
        },
    )
