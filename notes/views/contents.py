"""Chapters and topics of the signed-in user's notes.

The version in ``If-Match`` and in ETags is the note's. They also contain the note's id, as chapters and topics may move
to another note.
"""

import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from notes import services
from notes.models import Chapter, Topic
from notes.serializers import (
    BlockFilterSerializer,
    BlockPageSerializer,
    ChapterCreateSerializer,
    ChapterFilterSerializer,
    ChapterMoveSerializer,
    ChapterSerializer,
    ChapterWriteSerializer,
    TopicCreateSerializer,
    TopicFilterSerializer,
    TopicMoveSerializer,
    TopicSerializer,
    TopicWriteSerializer,
)
from notes.views.common import (
    ETAG,
    ID_PATTERN,
    LOCATION,
    OVER_BUDGET,
    NotePages,
    created,
    paginated,
)
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.pagination import InvalidCursor
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import ReadSpec, cached_page, opaque_etags
from utils.query_optimization import QueryOptimizer

IF_MATCH_IN_NOTE = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The `ETag` that you received: the id and the version of its note, quoted: `"12-3"`. If '
    "the note has changed since, nothing is written and the response is a 412 with `current_version`.",
)
_STATE = re.compile("([0-9]{1,19})-([0-9]{1,10})")

ERRORS = {
    "list": (NotFound,),
    "create": (NotFound, services.MovedMeanwhile, services.TooManyChildren, *OVER_BUDGET),
    "update": (services.MovedMeanwhile, *OVER_BUDGET),
    "partial_update": (services.MovedMeanwhile, *OVER_BUDGET),
    "destroy": (services.MovedMeanwhile,),
    "move": (services.MovedMeanwhile, services.TooManyChildren, services.NoteTooLarge),
}
"""Additional errors, as the parent is in the query or the body."""


class ChapterViewSet(NotePages, viewsets.GenericViewSet):
    """Chapters, without their topics."""

    lookup_value_regex = ID_PATTERN
    serializer_class = ChapterSerializer
    errors = ERRORS
    query_parameters = {"list": names_of(ChapterFilterSerializer, paginated=True)}

    def get_queryset(self) -> QuerySet[Chapter]:
        query = read_query(ChapterFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_chapters_optimized(query["note"], self.request.user)

    @extend_schema(operation_id="listChapters", parameters=[ChapterFilterSerializer])
    @cached_page
    def list(self, request: Request) -> Response:
        """List a note's chapters.

        In their order, without their topics.
        """
        response = paginated(self)
        if not response.data["results"]:
            query = read_query(ChapterFilterSerializer, request.query_params)
            QueryOptimizer.require_note(query["note"], request.user)
        return response

    @extend_schema(operation_id="getChapter")
    @cached_page
    def retrieve(self, request: Request, pk: str) -> Response:
        """Show a chapter.

        Without its topics; `getNote` shows those. Its `ETag` names its note and the note's version.
        """
        return _chapter(QueryOptimizer.get_chapter_detail(int(pk), request.user))

    @extend_schema(
        operation_id="createChapter",
        request=ChapterCreateSerializer,
        parameters=[IDEMPOTENCY_KEY, IF_MATCH_IN_NOTE, ETAG, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a chapter to a note.

        At the end, or at `order`; the ones after it move down by one.
        """
        body = read_body(ChapterCreateSerializer, request)
        chapter = services.create_chapter(
            user_id=user_id_of(request), note_id=body.pop("note"), if_match=_expected_states(request), **body
        )
        return created(_chapter(chapter), path=f"/api/chapters/{chapter.pk}/")

    @extend_schema(operation_id="replaceChapter", request=ChapterWriteSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Replace a chapter.

        Its only field is its title. An unchanged title keeps the note's version.
        """
        body = read_body(ChapterWriteSerializer, request, partial=partial)
        chapter = services.update_chapter(
            user_id=user_id_of(request), chapter_id=int(pk), if_match=_expected_states(request), **body
        )
        return _chapter(chapter)

    @extend_schema(operation_id="updateChapter", request=ChapterWriteSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a chapter.

        An unchanged title, or none, keeps the note's version.
        """
        return self.update(request, pk, partial=True)

    @extend_schema(
        operation_id="deleteChapter",
        parameters=[IF_MATCH_IN_NOTE],
        responses={204: OpenApiResponse(description="The chapter was deleted.")},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a chapter.

        With its topics. The note's other chapters close the gap; the note's previous state is kept as a version.
        """
        services.delete_chapter(user_id=user_id_of(request), chapter_id=int(pk), if_match=_expected_states(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="moveChapter", request=ChapterMoveSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """Move a chapter.

        To another position in its note, or to another of your notes. Chapters in between shift by one. Moving it to
        its current position keeps the note's version.
        """
        body = read_body(ChapterMoveSerializer, request)
        chapter = services.move_chapter(
            user_id=user_id_of(request),
            chapter_id=int(pk),
            order=body["order"],
            note_id=body.get("note"),
            if_match=_expected_states(request),
        )
        return _chapter(chapter)


def render_blocks(request: HttpRequest, user_id: int, pk: str) -> Rendered:
    query = read_query(BlockFilterSerializer, request.GET)
    found = services.get_blocks(user_id=user_id, topic_id=int(pk))
    start = 0
    if after := query.get("cursor"):
        start = next((order for order, block in enumerate(found.blocks, 1) if block.id == after), 0)
        if not start:
            raise InvalidCursor
    stop = start + query["page_size"]
    page: dict[str, Any] = {
        "next": None,
        "results": [
            {"id": block.id, "order": order, "kind": block.kind, "text": block.text, "hash": block.hash}
            for order, block in enumerate(found.blocks[start:stop], start)
        ],
    }
    if stop < len(found.blocks):
        others = [(name, value) for name, value in request.GET.items() if name != "cursor"]
        page["next"] = f"{request.path}?{urlencode([*others, ('cursor', found.blocks[stop - 1].id)])}"
    return render(page, version=f"{found.note_id}-{found.version}")


class TopicViewSet(NotePages, viewsets.GenericViewSet):
    """Topics with their texts."""

    lookup_value_regex = ID_PATTERN
    serializer_class = TopicSerializer
    errors = ERRORS
    query_parameters = {
        "list": names_of(TopicFilterSerializer, paginated=True),
        "blocks": names_of(BlockFilterSerializer),
    }
    read_specs = {
        **NotePages.read_specs,
        "blocks": ReadSpec(ttl=settings.CACHE_TTL_LIST, renderer=render_blocks),
    }

    def get_queryset(self) -> QuerySet[Topic]:
        query = read_query(TopicFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_topics_optimized(query["chapter"], self.request.user)

    @extend_schema(operation_id="listTopics", parameters=[TopicFilterSerializer])
    @cached_page
    def list(self, request: Request) -> Response:
        """List a chapter's topics.

        In their order, with their texts.
        """
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_chapter(
                read_query(TopicFilterSerializer, request.query_params)["chapter"], request.user
            )
        return response

    @extend_schema(operation_id="getTopic")
    @cached_page
    def retrieve(self, request: Request, pk: str) -> Response:
        """Show a topic.

        With its texts. Its `ETag` names its note and the note's version.
        """
        return _topic(QueryOptimizer.get_topic_detail(int(pk), request.user))

    @extend_schema(operation_id="listBlocks", parameters=[BlockFilterSerializer], responses=BlockPageSerializer)
    @action(detail=True, methods=["get"], pagination_class=None)
    @cached_page
    def blocks(self, request: Request, pk: str) -> Rendered:
        """List the blocks of a topic's explanation.

        Headings, paragraphs, lists and so on, with ids that stay when a block is edited or moved. Its `ETag` names
        the topic's note and the note's version.
        """
        return render_blocks(request._request, user_id_of(request), pk)

    @extend_schema(
        operation_id="createTopic",
        request=TopicCreateSerializer,
        parameters=[IDEMPOTENCY_KEY, IF_MATCH_IN_NOTE, ETAG, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a topic to a chapter.

        At the end, or at `order`; the ones after it move down by one.
        """
        body = read_body(TopicCreateSerializer, request)
        topic = services.create_topic(
            user_id=user_id_of(request),
            chapter_id=body.pop("chapter"),
            order=body.pop("order", None),
            data=body,
            if_match=_expected_states(request),
        )
        return created(_topic(topic), path=f"/api/topics/{topic.pk}/")

    @extend_schema(operation_id="replaceTopic", request=TopicWriteSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Replace a topic's texts.

        A field that is left out becomes empty. Unchanged values keep the note's version.
        """
        topic = services.update_topic(
            user_id=user_id_of(request),
            topic_id=int(pk),
            changes=read_body(TopicWriteSerializer, request, partial=partial),
            if_match=_expected_states(request),
        )
        return _topic(topic)

    @extend_schema(operation_id="updateTopic", request=TopicWriteSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some of a topic's texts.

        A field that is left out stays unchanged. Unchanged values keep the version of the topic's note.
        """
        return self.update(request, pk, partial=True)

    @extend_schema(
        operation_id="deleteTopic",
        parameters=[IF_MATCH_IN_NOTE],
        responses={204: OpenApiResponse(description="The topic was deleted.")},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a topic.

        The chapter's other topics close the gap; the note's previous state is kept as a version.
        """
        services.delete_topic(user_id=user_id_of(request), topic_id=int(pk), if_match=_expected_states(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="moveTopic", request=TopicMoveSerializer, parameters=[IF_MATCH_IN_NOTE, ETAG])
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """Move a topic.

        To another position in its chapter, or to a chapter of any of your notes. Topics in between shift by one.
        Moving it to its current position keeps the note's version.
        """
        body = read_body(TopicMoveSerializer, request)
        topic = services.move_topic(
            user_id=user_id_of(request),
            topic_id=int(pk),
            order=body["order"],
            chapter_id=body.get("chapter"),
            if_match=_expected_states(request),
        )
        return _topic(topic)


def _expected_states(request: Request) -> list[services.NoteState] | None:
    """The note states in ``If-Match``; None if any is accepted. An ETag that is not a state matches none."""
    header = request.headers.get("If-Match")
    if header is None or "*" in (etags := opaque_etags(header)):
        return None
    return [services.NoteState(int(found[1]), int(found[2])) for etag in etags if (found := _STATE.fullmatch(etag))]


def _chapter(chapter: Chapter) -> Response:
    return _in_note(ChapterSerializer(chapter).data, chapter.note_id)


def _topic(topic: Topic) -> Response:
    return _in_note(TopicSerializer(topic).data, topic.note_id)  # type: ignore[attr-defined]  # for_api


def _in_note(data: dict[str, Any], note_id: int) -> Response:
    return Response(data, headers={"ETag": f'"{note_id}-{data["version"]}"'})
