"""Importing files as notes."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notes.services import imports
from notes.services.imports import AlreadyFinished, TooManyImports
from notes.transfer_serializers import ImportSerializer, NoteImportSerializer
from utils.http.idempotency import IDEMPOTENCY_KEY, respond_once
from utils.http.requests import read_body, user_id_of
from utils.query_optimization import QueryOptimizer
from utils.storage import StorageNotConfigured, StorageUnavailable, require_storage
from utils.streaming.uploads import TooManyUploads, UploadParser, UploadTooSlow, comparable, upload_slot

LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[202], description="Relative link to it."
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[202], description="Seconds to wait before the first poll."
)


class NoteImportViewSet(viewsets.GenericViewSet):
    """Imports of files, carried out in the background."""

    lookup_value_converter = "uuid"
    serializer_class = NoteImportSerializer
    parser_classes = (UploadParser,)
    errors = {"create": (TooManyImports, UploadTooSlow, TooManyUploads, StorageNotConfigured, StorageUnavailable)}

    @extend_schema(
        operation_id="importNotes",
        request={"multipart/form-data": ImportSerializer},
        responses={202: OpenApiResponse(NoteImportSerializer, "Accepted: a worker will import it.")},
        parameters=[IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    )
    def create(self, request: Request) -> Response | HttpResponse:
        """Import a file.

        Markdown of this or another program, text, a Word document, or an archive of such files. With `dry_run` nothing
        is written, and the report shows what an import would do. Importing the same file again creates no duplicates.
        """
        user_id = user_id_of(request)
        require_storage()
        imports.require_room(user_id)
        with upload_slot(user_id):
            body = read_body(ImportSerializer, request)
            with body["file"] as file, imports.stored_upload(file) as upload:
                return respond_once(
                    request,
                    lambda: comparable(body),
                    lambda: _accept(user_id, name=file.name, upload=upload, dry_run=body["dry_run"]),
                )

    @extend_schema(operation_id="getImport")
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show an import.

        Its progress, and the outcome of each file so far.
        """
        return Response(NoteImportSerializer(QueryOptimizer.get_import(pk, request.user)).data)


class CancelImportView(APIView):
    """Cancelling an import."""

    errors = {"post": (AlreadyFinished,)}

    @extend_schema(operation_id="cancelImport", request=None, responses={202: NoteImportSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Cancel an import.

        The notes created so far are kept; the report lists them. An import that has ended gets a 409.
        """
        imports.cancel_import(user_id=user_id_of(request), import_id=pk)
        found = QueryOptimizer.get_import(pk, request.user)
        return Response(NoteImportSerializer(found).data, status=status.HTTP_202_ACCEPTED)


def _accept(user_id: int, *, name: str, upload: imports.Upload, dry_run: bool) -> Response:
    job = imports.submit_import(user_id=user_id, name=name, upload=upload, dry_run=dry_run)
    return Response(
        NoteImportSerializer(job).data,
        status=status.HTTP_202_ACCEPTED,
        headers={"Location": f"/api/notes/imports/{job.pk}/", "Retry-After": "1"},
    )
