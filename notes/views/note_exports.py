"""PDF exports of notes, which a worker makes."""

from uuid import UUID

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from notes.services.note_exports import TooManyPDFs, delete_export, submit_export
from notes.transfer_serializers import NoteExportCreateSerializer, NoteExportSerializer
from notes.transfers import JobStatus
from notes.views.exports import CONTENT_DISPOSITION
from notes.views.imports import LOCATION, RETRY_AFTER
from notes.walks import file_name
from utils import storage
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.requests import read_body, user_id_of
from utils.query_optimization import QueryOptimizer


class NoteExportViewSet(viewsets.GenericViewSet):
    """Exports that are made in the background."""

    lookup_value_converter = "uuid"
    serializer_class = NoteExportSerializer
    errors = {"create": (NotFound, TooManyPDFs, storage.StorageNotConfigured), "file": (storage.StorageUnavailable,)}

    @extend_schema(
        operation_id="createExport",
        request=NoteExportCreateSerializer,
        responses={202: OpenApiResponse(NoteExportSerializer, "Accepted: a worker will make it.")},
        parameters=[IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Export a note as a PDF.

        The same version of a note gives the same export for 24 hours. At most two at a time: a third gets a 409
        meanwhile.
        """
        body = read_body(NoteExportCreateSerializer, request)
        job = submit_export(user_id=user_id_of(request), note_id=body["note_id"])
        return Response(
            NoteExportSerializer(job).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": f"/api/notes/exports/{job.pk}/", "Retry-After": "1"},
        )

    @extend_schema(operation_id="getExport")
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show an export.

        `url` is the URL of its file, from when it is made and for 24 hours.
        """
        return Response(NoteExportSerializer(QueryOptimizer.get_export(pk, request.user)).data)

    @extend_schema(operation_id="deleteExport", responses={204: OpenApiResponse(description="The export was deleted.")})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete an export.

        With its file; a running export is stopped.
        """
        delete_export(user_id=user_id_of(request), export_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="getExportFile",
        parameters=[CONTENT_DISPOSITION],
        responses={(200, "application/pdf"): OpenApiResponse(OpenApiTypes.BINARY, "The PDF.")},
    )
    @action(detail=True)
    def file(self, request: Request, pk: UUID) -> FileResponse:
        """Download an export's file.

        A 404 until the file is made, and after 24 hours.
        """
        job = QueryOptimizer.get_export(pk, request.user)
        if job.status != JobStatus.SUCCEEDED:
            raise NotFound
        return FileResponse(
            storage.read(job.file),
            as_attachment=True,
            filename=f"{file_name(job.note_id, job.note.title)}.pdf",
            content_type="application/pdf",
            headers={"Cache-Control": "no-store"},
        )
