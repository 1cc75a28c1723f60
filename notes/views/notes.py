"""Notes of the signed-in user, their trash and their kept versions."""

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from notes import reads, services
from notes.models import Note, NoteVersion
from notes.serializers import (
    NoteCreateSerializer,
    NoteDetailSerializer,
    NoteFilterSerializer,
    NoteListSerializer,
    NoteVersionListSerializer,
    NoteVersionSerializer,
    NoteWriteSerializer,
)
from notes.views.common import (
    ID_PATTERN,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    created,
    expected_versions,
    paginated,
    read_body,
    read_query,
    versioned,
)
from utils.idempotency import idempotent
from utils.pages import FastRead, FastReads, fast_read
from utils.pagination import LookAheadCursorPagination
from utils.query_optimization import QueryOptimizer
from utils.rendering import Rendered, render, render_versioned
from utils.requests import ReadRequest, user_id_of


def render_list(request: ReadRequest, user_id: int) -> Rendered:
    filters = read_query(NoteFilterSerializer, request.GET) if request.GET else {}
    paginator = LookAheadCursorPagination()
    rows = reads.list_page(paginator, request.path, request.GET, user_id=user_id, filters=filters)
    return render(paginator.get_page(rows))


def render_detail(request: ReadRequest, user_id: int, pk: str) -> Rendered:
    return render_versioned(reads.detail(int(pk), user_id=user_id))


class NoteViewSet(FastReads, viewsets.GenericViewSet):
    """Notes, and those in the trash."""

    lookup_value_regex = ID_PATTERN
    serializer_class = NoteListSerializer
    fast_reads = {
        "list": FastRead(ttl=settings.CACHE_TTL_LIST, renderer=render_list),
        "retrieve": FastRead(ttl=settings.CACHE_TTL_LIST, has_query=False, renderer=render_detail),
    }

    def get_queryset(self) -> QuerySet[Note]:
        filters = read_query(NoteFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_notes_for_list(self.request.user, filters)

    @extend_schema(parameters=[NoteFilterSerializer])
    @fast_read
    def list(self, request: Request) -> Rendered:
        """List notes, without what is in them."""
        return render_list(request._request, user_id_of(request))

    @extend_schema(responses=NoteDetailSerializer)
    @fast_read
    def retrieve(self, request: Request, pk: str) -> Rendered:
        """Show a note with all its chapters and topics. Its ETag is its version."""
        return render_detail(request._request, user_id_of(request), pk)

    @extend_schema(request=NoteCreateSerializer, responses={201: NoteDetailSerializer}, parameters=[IDEMPOTENCY_KEY])
    @idempotent
    def create(self, request: Request) -> Response:
        """Create a note, with the chapters and topics that are sent along."""
        note = services.create_note(user_id=user_id_of(request), data=read_body(NoteCreateSerializer, request))
        return created(versioned(note), path=f"/api/notes/{note['id']}/")

    @extend_schema(request=NoteWriteSerializer, responses=NoteDetailSerializer, parameters=[IF_MATCH])
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Write a note's own fields; PUT resets those that are not sent."""
        note = services.update_note(
            user_id=user_id_of(request),
            note_id=int(pk),
            changes=read_body(NoteWriteSerializer, request, partial=partial),
            if_match=expected_versions(request),
        )
        return versioned(note)

    @extend_schema(request=NoteWriteSerializer, responses=NoteDetailSerializer, parameters=[IF_MATCH])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some of a note's own fields."""
        return self.update(request, pk, partial=True)

    @extend_schema(parameters=[IF_MATCH])
    def destroy(self, request: Request, pk: str) -> Response:
        """Put a note into the trash."""
        services.delete_note(user_id=user_id_of(request), note_id=int(pk), if_match=expected_versions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=NoteDetailSerializer)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Take a note out of the trash."""
        return versioned(services.restore_note(user_id=user_id_of(request), note_id=int(pk)))


class NoteVersionViewSet(viewsets.GenericViewSet):
    """What a note was before its last changes."""

    lookup_field = "version"
    lookup_value_regex = ID_PATTERN
    serializer_class = NoteVersionListSerializer

    def get_queryset(self) -> QuerySet[NoteVersion]:
        return QueryOptimizer.get_versions_for_list(int(self.kwargs["note_pk"]), self.request.user)

    def list(self, request: Request, note_pk: str) -> Response:
        """List the kept versions, the newest first."""
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_note(int(note_pk), request.user)
        return response

    @extend_schema(responses=NoteVersionSerializer)
    def retrieve(self, request: Request, note_pk: str, version: str) -> Response:
        """Show a version with the whole note as it was."""
        found = QueryOptimizer.get_version_detail(int(note_pk), int(version), request.user)
        return Response(NoteVersionSerializer(found).data)

    @extend_schema(request=None, responses=NoteDetailSerializer, parameters=[IF_MATCH])
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, note_pk: str, version: str) -> Response:
        """Make the note what it was. What it is now is kept as a version, too."""
        note = services.restore_version(
            user_id=user_id_of(request),
            note_id=int(note_pk),
            version=int(version),
            if_match=expected_versions(request),
        )
        return versioned(note)
