"""Notifications of the signed-in user."""

from django.db.models import QuerySet
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
from utils.admission import Admission
from utils.pages import FastRead, FastReads, fast_read
from utils.query_optimization import QueryOptimizer
from utils.rendering import Rendered, body_tag
from utils.requests import ReadRequest, user_id_of


def render_pending(request: ReadRequest, user_id: int) -> Rendered:
    admission: Admission = request.admission  # type: ignore[attr-defined]
    entries = services.pending(user_id=user_id, read=admission.beside)
    body = b'{"count":%d,"results":[%s]}' % (len(entries), b",".join(entries))
    return Rendered(body, body_tag(body))


class PendingView(FastReads, APIView):
    """What the user has not read yet, newest first. Made for polling: send the ``ETag`` back as ``If-None-Match``."""

    fast_reads = {"get": FastRead(renderer=render_pending, scopes=("poll",), beside=inbox.read_call)}

    @extend_schema(responses=PendingSerializer)
    @fast_read
    def get(self, request: Request) -> Rendered:
        return render_pending(request._request, user_id_of(request))


class ReadView(APIView):
    """Mark notifications as read."""

    @extend_schema(request=ReadSerializer, responses=ReadCountSerializer)
    def post(self, request: Request) -> Response:
        body = ReadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        count = services.mark_read(user_id=user_id_of(request), ids=body.validated_data.get("ids"))
        return Response({"count": count})


class HistoryView(ListAPIView):
    """Every notification of the user, read or not, newest first. New ones appear within seconds."""

    serializer_class = NotificationSerializer

    def get_queryset(self) -> QuerySet[Notification]:
        return QueryOptimizer.get_notifications_for_list(self.request.user)
