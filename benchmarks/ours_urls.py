"""The service's own routes, and one that does nothing but the checks of every request."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from NoteAssist_AI.urls import urlpatterns as ours


class NoOp(APIView):
    def get(self, request: Request) -> Response:
        return Response(status=204)


urlpatterns = [path("api/bench/noop/", NoOp.as_view()), *ours]
