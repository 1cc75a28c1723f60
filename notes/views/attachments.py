"""Attachments of notes: uploaded as forms, and served unchanged."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import SessionJWTAuthentication
from accounts.models import User
from notes import services
from notes.file_serializers import AttachmentCreateSerializer, AttachmentSerializer
from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile
from notes.links import InvalidLink, user_of_link
from notes.models import Attachment
from notes.views.common import LOCATION, created, paginated
from utils.admission.counting import count_request
from utils.http.errors import ApplicationError
from utils.http.idempotency import IDEMPOTENCY_KEY, respond_once
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.requests import read_body, user_id_of
from utils.query_optimization import QueryOptimizer
from utils.storage import StorageNotConfigured, StorageUnavailable, require_storage
from utils.streaming.files import RangeNotSatisfiable, ServedFile, TooManyDownloads, file_response
from utils.streaming.uploads import TooManyUploads, UploadParser, UploadTooSlow, comparable, upload_slot

TOKEN = "token"
FILES = "files"
"""The throttle scope of downloads, which count against no other limit."""


class LinkExpired(ApplicationError):
    code = "link_expired"
    status_code = status.HTTP_403_FORBIDDEN
    detail = "This link has expired. The list of attachments shows a fresh one."


def served_file(attachment: Attachment) -> ServedFile:
    return ServedFile(
        file=attachment.file,
        name=attachment.name,
        content_type=attachment.content_type,
        size=attachment.size,
        etag=attachment.pk.hex,
        # Browsers show no PDF inside a sandbox, so it is downloaded.
        is_inline=attachment.content_type != Attachment.ContentType.PDF,
    )


class NoteAttachmentViewSet(viewsets.GenericViewSet):
    """The attachments of one note."""

    serializer_class = AttachmentSerializer
    parser_classes = (UploadParser,)
    query_parameters = {"list": PAGE_PARAMETERS}
    errors = {
        "create": (
            services.AccountFull,
            services.TooManyAttachments,
            UnsupportedFile,
            UnreadableFile,
            ImageTooLarge,
            UploadTooSlow,
            TooManyUploads,
            StorageNotConfigured,
            StorageUnavailable,
        )
    }

    def get_queryset(self) -> QuerySet[Attachment]:
        return QueryOptimizer.get_attachments_for_list(int(self.kwargs["note_pk"]), self.request.user)

    @extend_schema(operation_id="listAttachments")
    def list(self, request: Request, note_pk: str) -> Response:
        """List a note's attachments.

        The newest first, with links that are good for ten minutes.
        """
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_note(int(note_pk), request.user)
        return response

    @extend_schema(
        operation_id="createAttachment",
        request={"multipart/form-data": AttachmentCreateSerializer},
        responses={201: AttachmentSerializer},
        parameters=[IDEMPOTENCY_KEY, LOCATION],
    )
    def create(self, request: Request, note_pk: str) -> Response | HttpResponse:
        """Attach a file to a note.

        A form with one file of at most 10 MB (10 · 2²⁰ bytes), which counts towards the account's storage. Its kind is
        detected from its content. Location, camera and all other metadata of photos are removed, except the
        orientation. Put `markdown` into a text: a file that no text names for a week is deleted.
        """
        user_id = user_id_of(request)
        require_storage()
        QueryOptimizer.require_note(int(note_pk), request.user)
        services.require_room(user_id=user_id, size=announced_bytes(request))
        with upload_slot(user_id):
            body = read_body(AttachmentCreateSerializer, request)
            with body["file"] as file, services.stored_file(name=file.name, content=file) as stored:
                return respond_once(request, lambda: comparable(body), lambda: self._record(user_id, note_pk, stored))

    def _record(self, user_id: int, note_pk: str, stored: services.StoredFile) -> Response:
        attachment = services.record_attachment(user_id=user_id, note_id=int(note_pk), stored=stored)
        return created(Response(AttachmentSerializer(attachment).data), path=attachment.path)


def announced_bytes(request: Request) -> int:
    """The length of the body according to the request's headers; 0 for a chunked body, whose length is unknown."""
    return 0 if "HTTP_TRANSFER_ENCODING" in request.META else int(request.META.get("CONTENT_LENGTH") or 0)


class SignedLinkAuthentication(SessionJWTAuthentication):
    """Authenticates a request with a signed link as the link's user, for that file only."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        token = request.query_params.get(TOKEN)
        if token is None or request.method not in ("GET", "HEAD"):
            return None
        view = request.parser_context["view"]
        try:
            user_id = user_of_link(view.kwargs["pk"], token)
        except InvalidLink as error:
            raise LinkExpired from error
        request._request.user_id = user_id  # type: ignore[attr-defined]  # for the request's log line
        count_request(request._request, scope=FILES, subject=user_id)
        return User(pk=user_id), None


CONTENT_TYPES = Attachment.ContentType.values


class AttachmentViewSet(viewsets.GenericViewSet):
    """One attachment."""

    lookup_value_converter = "uuid"
    authentication_classes: tuple[type[BaseAuthentication], ...] = (SignedLinkAuthentication, SessionJWTAuthentication)
    serializer_class = AttachmentSerializer
    query_parameters = {"retrieve": (TOKEN,)}
    errors = {
        "retrieve": (LinkExpired, RangeNotSatisfiable, TooManyDownloads, StorageNotConfigured, StorageUnavailable)
    }

    @property
    def throttle_scopes(self) -> tuple[str, ...]:
        return ("burst", "sustained") if self.action == "destroy" else (FILES,)

    @extend_schema(
        operation_id="getAttachment",
        responses={
            **{(200, kind): OpenApiResponse(OpenApiTypes.BINARY, "The file.") for kind in CONTENT_TYPES},
            **{(206, kind): OpenApiResponse(OpenApiTypes.BINARY, "The part of it.") for kind in CONTENT_TYPES},
            304: OpenApiResponse(description="Not modified: a file never changes."),
        },
        parameters=[
            OpenApiParameter(TOKEN, str, description="From a signed link, as in the `url` of an attachment."),
            OpenApiParameter("Range", str, OpenApiParameter.HEADER, description="One part: `bytes=0-1023`."),
            OpenApiParameter(
                "ETag",
                str,
                OpenApiParameter.HEADER,
                response=[200, 206, 304],
                description="The tag of the file, which never changes.",
            ),
        ],
    )
    def retrieve(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Read an attachment.

        The file itself, with an access token or by a signed link. A link is valid for ten minutes and for this file
        only, and ends with the account.
        """
        attachment = QueryOptimizer.get_attachment(pk, request.user)
        return file_response(
            request._request,
            served_file(attachment),
            reader=attachment.user_id,
            cache_control="private, no-cache",
        )

    @extend_schema(
        operation_id="deleteAttachment", responses={204: OpenApiResponse(description="The attachment was deleted.")}
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete an attachment.

        Texts that refer to it are not changed; they show nothing in its place.
        """
        services.delete_attachment(user_id=user_id_of(request), attachment_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
