"""Notifications of the signed-in user."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notifications import inbox, services
from notifications.models import Notification
from notifications.serializers import (
    NotificationSerializer,
    PendingSerializer,
    ReadCountSerializer,
    ReadSerializer,
)
from utils.admission.gate import Admission
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.rendering import Rendered, body_etag
from utils.http.requests import read_body, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer


def render_pending(request: HttpRequest, user_id: int) -> Rendered:
    admission: Admission = request.admission  # type: ignore[attr-defined]
    entries = services.pending(user_id=user_id, read=admission.extra_reply)
    body = b'{"count":%d,"results":[%s]}' % (len(entries), b",".join(entries))
    return Rendered(body, body_etag(body))


class PendingView(FastReadMixin, APIView):
    """The user's unread notifications."""

    read_specs = {
        "get": ReadSpec(
            renderer=render_pending,
            scopes=("poll",),
            extra_script=inbox.read_call,
            is_light=True,
        )
    }

    @extend_schema(operation_id="listPendingNotifications", responses=PendingSerializer)
    @cached_page
    def get(self, request: Request) -> Rendered:
        """Poll for unread notifications.

        At most 100, the newest first. Send the `ETag` back as `If-None-Match`: the response is a 304 if nothing is
        new. Polls have their own rate limit and count against no other.
        """
        return render_pending(request._request, user_id_of(request))


class ReadView(APIView):
    """Mark notifications as read."""

    @extend_schema(operation_id="markNotificationsRead", request=ReadSerializer, responses=ReadCountSerializer)
    def post(self, request: Request) -> Response:
        """Mark notifications as read.

        Those with the given `ids`, or `all` of them. Unknown ids, and ids of other users, are ignored.
        """
        body = read_body(ReadSerializer, request)
        count = services.mark_read(user_id=user_id_of(request), ids=body.get("ids"))
        return Response({"count": count})


class HistoryView(ListAPIView):
    """Every notification of the user."""

    serializer_class = NotificationSerializer
    query_parameters = {"get": PAGE_PARAMETERS}

    @extend_schema(operation_id="listNotifications")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List all notifications.

        Read or not, the newest first. A new one appears here within seconds.
        """
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Notification]:
        return QueryOptimizer.get_notifications_for_list(self.request.user)
