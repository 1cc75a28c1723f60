"""Uploads of pictures for cards."""

from uuid import uuid4

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notes.file_serializers import AttachmentCreateSerializer, AttachmentSerializer
from notes.files import ImageTooLarge, UnreadableFile, UnsupportedFile
from notes.services import (
    AccountFull,
    StoredFile,
    TooManyAttachments,
    record_card_attachments,
    require_room,
    stored_file,
)
from notes.views.attachments import announced_bytes
from notes.views.common import LOCATION, created
from utils.http.idempotency import IDEMPOTENCY_KEY, respond_once
from utils.http.requests import read_body, user_id_of
from utils.storage import StorageNotConfigured, StorageUnavailable, require_storage
from utils.streaming.uploads import TooManyUploads, UploadParser, UploadTooSlow, comparable, upload_slot


class MediaView(APIView):
    """Files of cards."""

    parser_classes = (UploadParser,)
    errors = {
        "post": (
            AccountFull,
            TooManyAttachments,
            UnsupportedFile,
            UnreadableFile,
            ImageTooLarge,
            UploadTooSlow,
            TooManyUploads,
            StorageNotConfigured,
            StorageUnavailable,
        )
    }

    @extend_schema(
        operation_id="createCardMedia",
        request={"multipart/form-data": AttachmentCreateSerializer},
        responses={201: AttachmentSerializer},
        parameters=[IDEMPOTENCY_KEY, LOCATION],
    )
    def post(self, request: Request) -> Response | HttpResponse:
        """Upload a file for cards.

        The rules of attachments apply, but the file belongs to no note. Put `markdown` into a card: a file that no text
        uses for a week is deleted.
        """
        user_id = user_id_of(request)
        require_storage()
        require_room(user_id=user_id, size=announced_bytes(request))
        with upload_slot(user_id):
            body = read_body(AttachmentCreateSerializer, request)
            with body["file"] as file, stored_file(name=file.name, content=file) as stored:
                return respond_once(request, lambda: comparable(body), lambda: _record(user_id, stored))


def _record(user_id: int, stored: StoredFile) -> Response:
    [attachment] = record_card_attachments(user_id=user_id, stored={uuid4(): stored})
    return created(Response(AttachmentSerializer(attachment).data), path=attachment.path)
