"""The entry point of the API: links to its documentation and its collections."""

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

LINKS = {
    "documentation": "docs",
    "schema": "schema",
    "register": "register",
    "login": "login",
    "refresh": "refresh",
    "me": "me",
    "notes": "note-list",
    "tags": "tag-list",
    "search": "search",
    "ai_request_types": "ai-request-types",
    "ai_tasks": "ai-task-list",
    "ai_usage": "ai-usage",
    "cards": "card-list",
    "due_cards": "study-due",
    "exams": "exam-list",
    "notifications": "notifications",
    "pending_notifications": "notifications-pending",
}
"""The URL name of each link's target."""


class ApiRootSerializer(serializers.Serializer):
    """Links to the API's entry points."""

    name = serializers.CharField()
    links = serializers.DictField(child=serializers.CharField(), help_text="Relative URLs by name.")


class ApiRootView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(operation_id="getApiRoot", responses=ApiRootSerializer, tags=["api"])
    def get(self, request: Request) -> Response:
        """List the API's entry points.

        Relative links to the documentation, to signing in and to each collection. Needs no token.
        """
        return Response({"name": "NoteAssist AI", "links": {link: reverse(name) for link, name in LINKS.items()}})
