"""Notes of the signed-in user, their trash and their kept versions."""

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from notes import reads, services
from notes.contents import shown_of_snapshot
from notes.differences import differences
from notes.models import Note, NoteVersion
from notes.outline import outline_of
from notes.serializers import (
    BacklinkSerializer,
    BulkResultSerializer,
    BulkSerializer,
    EmptyTrashSerializer,
    NoteCreateSerializer,
    NoteDetailSerializer,
    NoteFilterSerializer,
    NoteListSerializer,
    NoteWriteSerializer,
    OutlineEntrySerializer,
    TemplateSerializer,
)
from notes.snapshots import whole_snapshot
from notes.templates import TEMPLATES
from notes.version_serializers import AgainstSerializer, NoteVersionListSerializer, NoteVersionSerializer
from notes.views.common import (
    ETAG,
    ID_PATTERN,
    IF_MATCH,
    LOCATION,
    OVER_BUDGET,
    created,
    expected_versions,
    link_page,
    paginated,
    versioned,
)
from utils.event_loop import require_thread
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.pagination import PAGE_PARAMETERS, ForwardCursorPagination, LookAheadCursorPagination
from utils.http.query import names_of
from utils.http.rendering import Rendered, render, render_versioned
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer


def render_list(request: HttpRequest, user_id: int) -> Rendered:
    filters = read_query(NoteFilterSerializer, request.GET) if request.GET else {}
    if filters.get("search"):
        require_thread()  # a search may take longer than others should wait
    paginator = LookAheadCursorPagination()
    rows = reads.list_page(paginator, request.path, request.GET, user_id=user_id, filters=filters)
    return render(paginator.get_page(rows))


def render_detail(request: HttpRequest, user_id: int, pk: str) -> Rendered:
    return render_versioned(reads.detail(int(pk), user_id=user_id))


class NoteViewSet(FastReadMixin, viewsets.GenericViewSet):
    """Notes, and those in the trash."""

    lookup_value_regex = ID_PATTERN
    serializer_class = NoteListSerializer
    query_parameters = {"list": names_of(NoteFilterSerializer, paginated=True), "backlinks": PAGE_PARAMETERS}
    errors = {
        "create": OVER_BUDGET,
        "update": OVER_BUDGET,
        "partial_update": OVER_BUDGET,
        "bulk": (NotFound, *OVER_BUDGET),
        "trash": (services.TrashChanged,),
    }
    delete_bodies = {"trash": EmptyTrashSerializer}
    read_specs = {
        "list": ReadSpec(ttl=settings.CACHE_TTL_LIST, renderer=render_list, is_light=True),
        "retrieve": ReadSpec(ttl=settings.CACHE_TTL_LIST, renderer=render_detail, is_light=True),
    }

    def get_queryset(self) -> QuerySet[Note]:
        filters = read_query(NoteFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_notes_for_list(self.request.user, filters)

    @extend_schema(operation_id="listNotes", parameters=[NoteFilterSerializer])
    @cached_page
    def list(self, request: Request) -> Rendered:
        """List notes.

        Without their chapters. The note changed last comes first, unless `ordering` is given. Filters may be combined.
        """
        return render_list(request._request, user_id_of(request))

    @extend_schema(operation_id="getNote", responses=NoteDetailSerializer)
    @cached_page
    def retrieve(self, request: Request, pk: str) -> Rendered:
        """Show a note.

        With all its chapters and topics in their order. Its `ETag` is its version.
        """
        return render_detail(request._request, user_id_of(request), pk)

    @extend_schema(
        operation_id="createNote",
        request=NoteCreateSerializer,
        responses={201: NoteDetailSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Create a note.

        Chapters and topics in the body are created with it. If one of them is invalid, nothing is created.
        """
        note = services.create_note(user_id=user_id_of(request), data=read_body(NoteCreateSerializer, request))
        return created(versioned(note), path=f"/api/notes/{note['id']}/")

    @extend_schema(
        operation_id="replaceNote",
        request=NoteWriteSerializer,
        responses=NoteDetailSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Replace a note's own fields.

        A field that is left out gets its default. Chapters have their own URLs and stay unchanged. Unchanged values
        keep the note's version.
        """
        note = services.update_note(
            user_id=user_id_of(request),
            note_id=int(pk),
            changes=read_body(NoteWriteSerializer, request, partial=partial),
            if_match=expected_versions(request),
        )
        return versioned(note)

    @extend_schema(
        operation_id="updateNote",
        request=NoteWriteSerializer,
        responses=NoteDetailSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some of a note's own fields.

        A field that is left out stays unchanged. Unchanged values keep the note's version.
        """
        return self.update(request, pk, partial=True)

    @extend_schema(
        operation_id="deleteNote",
        parameters=[IF_MATCH],
        responses={204: OpenApiResponse(description="The note is in the trash.")},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Put a note into the trash.

        It is no longer listed or found, but can be restored.
        """
        services.delete_note(user_id=user_id_of(request), note_id=int(pk), if_match=expected_versions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="listNoteTemplates", responses=TemplateSerializer(many=True))
    @action(detail=False, pagination_class=None)
    def templates(self, request: Request) -> Response:
        """List templates.

        `createNote` with `template` creates a note from one.
        """
        return Response(TemplateSerializer(TEMPLATES.values(), many=True).data)

    @extend_schema(operation_id="getNoteOutline", responses=OutlineEntrySerializer(many=True))
    @action(detail=True, pagination_class=None)
    def outline(self, request: Request, pk: str) -> Response:
        """Show a note's outline.

        Its chapters, their topics, and the Markdown headings in these, each with the entries below it.
        """
        return Response(outline_of(reads.detail(int(pk), user_id=user_id_of(request))))

    @extend_schema(operation_id="listBacklinks", responses=BacklinkSerializer(many=True))
    @action(detail=True, pagination_class=ForwardCursorPagination)
    def backlinks(self, request: Request, pk: str) -> Response:
        """List the links to a note.

        Topics of notes outside the trash whose explanation has `[[its title]]`, or had a link to an earlier title while
        the note had that title.
        """
        return link_page(self, reads.backlinks(int(pk), user_id=user_id_of(request)), BacklinkSerializer)

    @extend_schema(operation_id="restoreNote", request=None, responses=NoteDetailSerializer, parameters=[ETAG])
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, pk: str) -> Response:
        """Take a note out of the trash.

        A note that is not in the trash stays unchanged.
        """
        return versioned(services.restore_note(user_id=user_id_of(request), note_id=int(pk)))

    @extend_schema(operation_id="changeNotes", request=BulkSerializer, responses=BulkResultSerializer)
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """Change many notes.

        Tag or untag them, set their status, put them into the trash or take them out of it. If one is not found, none
        is changed. Notes without a change keep their version number; no previous state is kept.
        """
        body = read_body(BulkSerializer, request)
        return Response({"changed": services.change_notes(user_id=user_id_of(request), **body)})

    @extend_schema(
        operation_id="emptyTrash",
        responses={204: OpenApiResponse(description="The trash is empty.")},
    )
    @action(detail=False, methods=["delete"])
    def trash(self, request: Request) -> Response:
        """Empty the trash.

        All notes in it are deleted for good, if their number is `count`.
        """
        services.empty_trash(user_id=user_id_of(request), count=read_body(EmptyTrashSerializer, request)["count"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class NoteVersionViewSet(viewsets.GenericViewSet):
    """Kept versions: the states of a note before its last changes."""

    lookup_field = "version"
    lookup_value_regex = ID_PATTERN
    serializer_class = NoteVersionListSerializer
    query_parameters = {"list": PAGE_PARAMETERS, "retrieve": names_of(AgainstSerializer)}
    errors = {"restore": OVER_BUDGET}

    def get_queryset(self) -> QuerySet[NoteVersion]:
        return QueryOptimizer.get_versions_for_list(int(self.kwargs["note_pk"]), self.request.user)

    @extend_schema(operation_id="listNoteVersions")
    def list(self, request: Request, note_pk: str) -> Response:
        """List a note's kept versions.

        The note's states before its last changes, the newest first, without the contents.
        """
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_note(int(note_pk), request.user)
        return response

    @extend_schema(operation_id="getNoteVersion", parameters=[AgainstSerializer], responses=NoteVersionSerializer)
    def retrieve(self, request: Request, note_pk: str, version: str) -> Response:
        """Show a kept version.

        With the whole note at that version. With `against`, also with the differences: `before` is the version that
        `against` names, `after` is this one.
        """
        note_id = int(note_pk)
        against = read_query(AgainstSerializer, request.query_params).get("against")
        found = QueryOptimizer.get_version_detail(note_id, int(version), request.user)
        after = whole_snapshot(found)
        shown = {**NoteVersionListSerializer(found).data, "snapshot": shown_of_snapshot(after)}
        if against:
            other = None if against == "current" else int(against)
            before = QueryOptimizer.get_snapshot(note_id, other, request.user)
            shown["diff"] = differences(before, after, note_id=note_id)
        return Response(shown)

    @extend_schema(
        operation_id="restoreNoteVersion", request=None, responses=NoteDetailSerializer, parameters=[IF_MATCH, ETAG]
    )
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, note_pk: str, version: str) -> Response:
        """Restore a kept version.

        The note's current state is kept as a version first, so a restore can be undone by another one.
        """
        note = services.restore_version(
            user_id=user_id_of(request),
            note_id=int(note_pk),
            version=int(version),
            if_match=expected_versions(request),
        )
        return versioned(note)
