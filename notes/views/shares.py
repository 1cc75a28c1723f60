"""Public links to notes, and copies of notes that others share."""

from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.login_throttle import count_login_attempt
from notes import services
from notes.file_serializers import ShareCreateSerializer, SharePasswordSerializer, ShareSerializer
from notes.models import Share
from notes.serializers import NoteDetailSerializer
from notes.views.common import ETAG, LOCATION, OVER_BUDGET, created, paginated, versioned
from utils.http.errors import TooManyRequests
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.requests import read_body, user_id_of
from utils.query_optimization import QueryOptimizer


class ShareViewSet(viewsets.GenericViewSet):
    """The links to one note."""

    lookup_value_converter = "uuid"
    serializer_class = ShareSerializer
    query_parameters = {"list": PAGE_PARAMETERS}
    optional_bodies = ("create",)
    errors = {"create": (services.TooManyShares,)}

    def get_queryset(self) -> QuerySet[Share]:
        return QueryOptimizer.get_shares_for_list(int(self.kwargs["note_pk"]), self.request.user)

    def get_serializer_context(self) -> dict[str, object]:
        origin = settings.PUBLIC_URL or self.request.build_absolute_uri("/").rstrip("/")
        return {**super().get_serializer_context(), "origin": origin}

    @extend_schema(operation_id="listShares")
    def list(self, request: Request, note_pk: int) -> Response:
        """List the links to a note.

        The newest first, including expired ones, with how often each was opened.
        """
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_note(note_pk, request.user)
        return response

    @extend_schema(
        operation_id="createShare",
        request=ShareCreateSerializer,
        responses={201: ShareSerializer},
        parameters=[IDEMPOTENCY_KEY, LOCATION],
    )
    @idempotent
    def create(self, request: Request, note_pk: int) -> Response:
        """Share a note by a link.

        Anyone who has `url` can read the note as an HTML page, until you delete the link, it expires, or the note is
        put into the trash.
        """
        body = read_body(ShareCreateSerializer, request, optional=True)
        share = services.create_share(user_id=user_id_of(request), note_id=note_pk, **body)
        shown = self.get_serializer(share).data
        return created(Response(shown), path=f"/api/notes/{note_pk}/shares/{share.pk}/")

    @extend_schema(
        operation_id="deleteShare", responses={204: OpenApiResponse(description="The link no longer works.")}
    )
    def destroy(self, request: Request, note_pk: int, pk: UUID) -> Response:
        """Revoke a link.

        Takes effect at once: its page is a 404 from then on.
        """
        services.delete_share(user_id=user_id_of(request), note_id=note_pk, share_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ShareCopyView(APIView):
    optional_bodies = ("post",)
    errors = {"post": (*OVER_BUDGET, services.WrongSharePassword, TooManyRequests)}

    @extend_schema(
        operation_id="copySharedNote",
        request=SharePasswordSerializer,
        responses={201: NoteDetailSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG, LOCATION],
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Copy a shared note.

        It becomes a draft of yours, with copies of its attachments, which count towards your storage.
        """
        body = read_body(SharePasswordSerializer, request, optional=True)
        share = QueryOptimizer.get_open_share(slug)
        password = body.get("password", "")
        if share.password:
            count_login_attempt(request, kind="share", name=share.pk)
        if not services.may_see(share, password):
            raise services.WrongSharePassword
        note = services.copy_share(user_id=user_id_of(request), share=share)
        return created(versioned(note), path=f"/api/notes/{note['id']}/")
