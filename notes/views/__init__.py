"""The API of notes."""

from notes.views.contents import ChapterViewSet, TopicViewSet
from notes.views.notes import NoteVersionViewSet, NoteViewSet
from notes.views.search import SearchView, TagViewSet

__all__ = ["ChapterViewSet", "NoteVersionViewSet", "NoteViewSet", "SearchView", "TagViewSet", "TopicViewSet"]
