"""Notifications of the signed-in user."""

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notifications import services
from notifications.models import Notification
from notifications.serializers import (
    NotificationSerializer,
    PendingSerializer,
    ReadCountSerializer,
    ReadSerializer,
)
from utils.pages import body_tag, conditional
from utils.query_optimization import QueryOptimizer
from utils.requests import user_id_of


class PendingView(APIView):
    """What the user has not read yet, newest first. Made for polling: send the ``ETag`` back as ``If-None-Match``."""

    throttle_scopes = ("poll",)

    @extend_schema(responses=PendingSerializer)
    def get(self, request: Request) -> HttpResponse:
        entries = services.pending(user_id=user_id_of(request))
        body = b'{"count":%d,"results":[%s]}' % (len(entries), b",".join(entries))
        return conditional(request, body, body_tag(body))


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
