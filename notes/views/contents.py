"""Chapters and topics of the signed-in user's notes.

``If-Match`` and ETags are about the note that they are in, and its version.
"""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from notes import services
from notes.models import Chapter, Topic
from notes.serializers import (
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
    ID_PATTERN,
    IDEMPOTENCY_KEY,
    IF_MATCH_IN_NOTE,
    NotePages,
    created,
    expected_states,
    paginated,
    read_body,
    read_query,
    versioned_in_note,
)
from utils.idempotency import idempotent
from utils.pages import fast_read
from utils.query_optimization import QueryOptimizer
from utils.requests import user_id_of


class ChapterViewSet(NotePages, viewsets.GenericViewSet):
    """Chapters, without their topics."""

    lookup_value_regex = ID_PATTERN
    serializer_class = ChapterSerializer

    def get_queryset(self) -> QuerySet[Chapter]:
        query = read_query(ChapterFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_chapters_optimized(query["note"], self.request.user)

    @extend_schema(parameters=[ChapterFilterSerializer])
    @fast_read
    def list(self, request: Request) -> Response:
        """List a note's chapters in their order."""
        response = paginated(self)
        if not response.data["results"]:
            query = read_query(ChapterFilterSerializer, request.query_params)
            QueryOptimizer.require_note(query["note"], request.user)
        return response

    @fast_read
    def retrieve(self, request: Request, pk: str) -> Response:
        """Show a chapter."""
        return _chapter(QueryOptimizer.get_chapter_detail(int(pk), request.user))

    @extend_schema(request=ChapterCreateSerializer, parameters=[IDEMPOTENCY_KEY, IF_MATCH_IN_NOTE])
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a chapter to a note: at the end, or at `order`."""
        body = read_body(ChapterCreateSerializer, request)
        chapter = services.create_chapter(
            user_id=user_id_of(request), note_id=body.pop("note"), if_match=expected_states(request), **body
        )
        return created(_chapter(chapter), path=f"/api/chapters/{chapter.pk}/")

    @extend_schema(request=ChapterWriteSerializer, parameters=[IF_MATCH_IN_NOTE])
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Rename a chapter."""
        body = read_body(ChapterWriteSerializer, request, partial=partial)
        chapter = services.update_chapter(
            user_id=user_id_of(request), chapter_id=int(pk), if_match=expected_states(request), **body
        )
        return _chapter(chapter)

    @extend_schema(request=ChapterWriteSerializer, parameters=[IF_MATCH_IN_NOTE])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename a chapter."""
        return self.update(request, pk, partial=True)

    @extend_schema(parameters=[IF_MATCH_IN_NOTE])
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a chapter with its topics."""
        services.delete_chapter(user_id=user_id_of(request), chapter_id=int(pk), if_match=expected_states(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=ChapterMoveSerializer, parameters=[IF_MATCH_IN_NOTE])
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """Move a chapter to another place in its note, or in another note."""
        body = read_body(ChapterMoveSerializer, request)
        chapter = services.move_chapter(
            user_id=user_id_of(request),
            chapter_id=int(pk),
            order=body["order"],
            note_id=body.get("note"),
            if_match=expected_states(request),
        )
        return _chapter(chapter)


class TopicViewSet(NotePages, viewsets.GenericViewSet):
    """Topics, with all that they say."""

    lookup_value_regex = ID_PATTERN
    serializer_class = TopicSerializer

    def get_queryset(self) -> QuerySet[Topic]:
        query = read_query(TopicFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_topics_optimized(query["chapter"], self.request.user)

    @extend_schema(parameters=[TopicFilterSerializer])
    @fast_read
    def list(self, request: Request) -> Response:
        """List a chapter's topics in their order."""
        response = paginated(self)
        if not response.data["results"]:
            QueryOptimizer.require_chapter(
                read_query(TopicFilterSerializer, request.query_params)["chapter"], request.user
            )
        return response

    @fast_read
    def retrieve(self, request: Request, pk: str) -> Response:
        """Show a topic."""
        return _topic(QueryOptimizer.get_topic_detail(int(pk), request.user))

    @extend_schema(request=TopicCreateSerializer, parameters=[IDEMPOTENCY_KEY, IF_MATCH_IN_NOTE])
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a topic to a chapter: at the end, or at `order`."""
        body = read_body(TopicCreateSerializer, request)
        topic = services.create_topic(
            user_id=user_id_of(request),
            chapter_id=body.pop("chapter"),
            order=body.pop("order", None),
            data=body,
            if_match=expected_states(request),
        )
        return created(_topic(topic), path=f"/api/topics/{topic.pk}/")

    @extend_schema(request=TopicWriteSerializer, parameters=[IF_MATCH_IN_NOTE])
    def update(self, request: Request, pk: str, partial: bool = False) -> Response:
        """Write what a topic says; PUT empties what is not sent."""
        topic = services.update_topic(
            user_id=user_id_of(request),
            topic_id=int(pk),
            changes=read_body(TopicWriteSerializer, request, partial=partial),
            if_match=expected_states(request),
        )
        return _topic(topic)

    @extend_schema(request=TopicWriteSerializer, parameters=[IF_MATCH_IN_NOTE])
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some of what a topic says."""
        return self.update(request, pk, partial=True)

    @extend_schema(parameters=[IF_MATCH_IN_NOTE])
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a topic."""
        services.delete_topic(user_id=user_id_of(request), topic_id=int(pk), if_match=expected_states(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=TopicMoveSerializer, parameters=[IF_MATCH_IN_NOTE])
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """Move a topic to another place in its chapter, or in another chapter of any of the user's notes."""
        body = read_body(TopicMoveSerializer, request)
        topic = services.move_topic(
            user_id=user_id_of(request),
            topic_id=int(pk),
            order=body["order"],
            chapter_id=body.get("chapter"),
            if_match=expected_states(request),
        )
        return _topic(topic)


def _chapter(chapter: Chapter) -> Response:
    return versioned_in_note(ChapterSerializer(chapter).data, chapter.note_id)


def _topic(topic: Topic) -> Response:
    return versioned_in_note(TopicSerializer(topic).data, topic.note_id)  # type: ignore[attr-defined]  # for_api
