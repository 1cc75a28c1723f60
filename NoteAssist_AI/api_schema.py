"""Serves the committed OpenAPI document: generating it takes 0.4 s of CPU, and anyone may request it."""

from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpResponse
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


class SchemaView(APIView):
    """Excluded from the document itself. ``make schema`` writes the file; a test compares it with the code."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(
            _read(Path(settings.BASE_DIR, "docs", "openapi.yaml")),
            content_type="application/vnd.oai.openapi; charset=utf-8",
            headers={"Content-Disposition": 'inline; filename="NoteAssist AI.yaml"'},
        )
