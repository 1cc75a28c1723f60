"""Downloading notes as files."""

from collections.abc import Iterator

import orjson
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from notes import reads
from notes.file_serializers import ExportFormatSerializer, ExportSelectionSerializer
from notes.markdown.writing import note_text
from notes.models import Attachment, Note
from notes.serializers import NoteDetailSerializer
from notes.walks import attached_files, file_name, markdown_files
from utils.http.errors import NotFound
from utils.http.json import dumps
from utils.http.query import names_of
from utils.http.requests import read_query, user_id_of
from utils.personal_data import File
from utils.query_optimization import QueryOptimizer
from utils.streaming import archives
from utils.streaming.slots import Download

MARKDOWN = "text/markdown; charset=utf-8"
CONTENT_DISPOSITION = OpenApiParameter(
    "Content-Disposition",
    str,
    OpenApiParameter.HEADER,
    response=[200],
    description="Suggests a file name.",
)


class NoteExportView(APIView):
    """One note as a file."""

    query_parameters = {"get": names_of(ExportFormatSerializer)}

    @extend_schema(
        operation_id="exportNote",
        parameters=[ExportFormatSerializer, CONTENT_DISPOSITION],
        responses={
            (200, "text/markdown"): OpenApiResponse(OpenApiTypes.STR, "The note as a Markdown file."),
            (200, "application/json"): OpenApiResponse(NoteDetailSerializer, "The note as `getNote` shows it."),
        },
    )
    def get(self, request: Request, pk: str) -> HttpResponse:
        """Download a note.

        As Markdown, which people can read and an import restores exactly, or as the JSON of the API.
        """
        query = read_query(ExportFormatSerializer, request.query_params)
        note = reads.detail(int(pk), user_id=user_id_of(request))
        name = file_name(note["id"], note["title"])
        shown = dumps(note)
        if query["format"] == "json":
            return as_file(shown, name=f"{name}.json", content_type="application/json")
        return as_file(note_text(orjson.loads(shown)).encode(), name=f"{name}.md", content_type=MARKDOWN)


class NoteSelectionExportView(APIView):
    """Several notes as one archive."""

    query_parameters = {"get": names_of(ExportSelectionSerializer)}
    errors = {"get": (NotFound, archives.TooManyExports)}

    @extend_schema(
        operation_id="exportNotes",
        parameters=[ExportSelectionSerializer, CONTENT_DISPOSITION],
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "A zip of Markdown files.")},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download several notes.

        A zip with a Markdown file for each, and their attachments. A 404 if one of them is not yours or in the trash.
        One download at a time: a second one gets a 503 meanwhile.
        """
        ids = read_query(ExportSelectionSerializer, request.query_params)["ids"]
        user_id = user_id_of(request)
        archive = Download(
            request._request,
            archives.zip_chunks(_files(QueryOptimizer.get_notes_to_export(ids, request.user))),
            user_id=user_id,
            limiter=archives.limiter,
            at_most=settings.EXPORTS_AT_ONCE,
        )
        return StreamingHttpResponse(archive, content_type="application/zip", headers=file_headers("notes.zip"))


def _files(notes: QuerySet[Note]) -> Iterator[File]:
    yield from markdown_files(notes)
    if settings.FILES_ARE_KEPT:
        yield from attached_files(Attachment.objects.filter(note__in=notes))


def as_file(content: bytes, *, name: str, content_type: str) -> HttpResponse:
    """A response that a browser saves under this name, which must be ASCII."""
    return HttpResponse(content, content_type=content_type, headers=file_headers(name))


def file_headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
