"""Paths of notes, under ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from notes.views import ChapterViewSet, NoteVersionViewSet, NoteViewSet, SearchView, TagViewSet, TopicViewSet
from notes.views.common import ID_PATTERN

router = SimpleRouter()
router.register("notes", NoteViewSet, basename="note")
router.register(rf"notes/(?P<note_pk>{ID_PATTERN})/versions", NoteVersionViewSet, basename="note-version")
router.register("chapters", ChapterViewSet, basename="chapter")
router.register("topics", TopicViewSet, basename="topic")
router.register("tags", TagViewSet, basename="tag")

urlpatterns = [*router.urls, path("search/", SearchView.as_view(), name="search")]
