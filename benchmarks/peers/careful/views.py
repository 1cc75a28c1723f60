from typing import Any

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank
from django.db import transaction
from django.db.models import Count, F, Prefetch, QuerySet
from django.db.models.functions import Now
from rest_framework import generics, serializers, viewsets

from ai_tasks.models import AITask
from benchmarks.peers import tasks
from benchmarks.peers.careful.serializers import NoteDetailSerializer, NoteListSerializer, TopicResultSerializer
from benchmarks.peers.django_views import TaskSerializer
from notes.models import Chapter, Note, Topic


class NoteViewSet(viewsets.ModelViewSet):
    def get_queryset(self) -> QuerySet[Note]:
        notes = Note.objects.filter(user=self.request.user, deleted_at=None).defer("search")
        if self.action == "destroy":
            return notes
        notes = notes.annotate(
            chapter_count=Count("chapters", distinct=True), topic_count=Count("chapters__topics")
        ).order_by("-updated_at", "-id")
        if self.action == "list":
            return notes
        topics = Prefetch("topics", Topic.objects.defer("search"))
        return notes.prefetch_related(Prefetch("chapters", Chapter.objects.defer("search").prefetch_related(topics)))

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return NoteListSerializer if self.action == "list" else NoteDetailSerializer

    def perform_create(self, serializer: Any) -> None:
        note = serializer.save(user=self.request.user)
        note.chapter_count = note.topic_count = 0

    def perform_update(self, serializer: Any) -> None:
        serializer.save(version=serializer.instance.version + 1, updated_at=Now())
        # REST framework drops what was prefetched for the instance that it updated: this one has it.
        serializer.instance = self.get_object()

    def perform_destroy(self, note: Note) -> None:
        Note.objects.filter(pk=note.pk).update(deleted_at=Now(), updated_at=Now(), version=F("version") + 1)


class SearchView(generics.ListAPIView):
    serializer_class = TopicResultSerializer

    def get_queryset(self) -> QuerySet[Topic]:
        query = SearchQuery(self.request.query_params.get("q", ""), config="english")
        return (
            Topic.objects.filter(chapter__note__user=self.request.user, chapter__note__deleted_at=None, search=query)
            .select_related("chapter")
            .defer("search", "chapter__search")
            .annotate(
                rank=SearchRank(F("search"), query),
                snippet=SearchHeadline("explanation", query, config="english", start_sel="<mark>", stop_sel="</mark>"),
            )
            .order_by("-rank", "-id")
        )


class TaskViewSet(viewsets.ModelViewSet):
    serializer_class = TaskSerializer

    def get_queryset(self) -> QuerySet[AITask]:
        return AITask.objects.filter(user=self.request.user)

    def perform_create(self, serializer: Any) -> None:
        with transaction.atomic():
            task = serializer.save(user=self.request.user, message=tasks.WAITING)
            transaction.on_commit(lambda: tasks.answer.delay(str(task.pk)))
