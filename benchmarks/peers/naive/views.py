from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from rest_framework import filters, generics, serializers, viewsets

from ai_tasks.models import AITask
from benchmarks.peers import tasks
from benchmarks.peers.django_views import TaskSerializer
from benchmarks.peers.naive.serializers import NoteDetailSerializer, NoteListSerializer
from notes.models import Note


class NoteViewSet(viewsets.ModelViewSet):
    def get_queryset(self) -> QuerySet[Note]:
        return Note.objects.filter(user=self.request.user, deleted_at=None).order_by("-updated_at", "-id")

    def get_serializer_class(self) -> type[serializers.Serializer]:
        return NoteListSerializer if self.action == "list" else NoteDetailSerializer

    def perform_create(self, serializer: Any) -> None:
        serializer.save(user=self.request.user)

    def perform_update(self, serializer: Any) -> None:
        serializer.save(version=serializer.instance.version + 1, updated_at=timezone.now())

    def perform_destroy(self, note: Note) -> None:
        note.deleted_at = timezone.now()
        note.save()


class SearchView(generics.ListAPIView):
    serializer_class = NoteListSerializer
    filter_backends = [filters.SearchFilter]
    search_fields = ["title", "chapters__topics__explanation"]

    def get_queryset(self) -> QuerySet[Note]:
        return Note.objects.filter(user=self.request.user, deleted_at=None).order_by("-updated_at", "-id")


class TaskViewSet(viewsets.ModelViewSet):
    serializer_class = TaskSerializer

    def get_queryset(self) -> QuerySet[AITask]:
        return AITask.objects.filter(user=self.request.user)

    def perform_create(self, serializer: Any) -> None:
        task = serializer.save(user=self.request.user, message=tasks.WAITING)
        tasks.answer.delay(str(task.pk))
