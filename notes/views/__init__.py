"""The API of notes."""

from notes.views.attachments import AttachmentViewSet, NoteAttachmentViewSet
from notes.views.contents import ChapterViewSet, TopicViewSet
from notes.views.notes import NoteVersionViewSet, NoteViewSet
from notes.views.search import BrokenLinkViewSet, SearchView, TagViewSet
from notes.views.shares import ShareCopyView, ShareViewSet

__all__ = [
    "AttachmentViewSet",
    "BrokenLinkViewSet",
    "ChapterViewSet",
    "NoteAttachmentViewSet",
    "NoteVersionViewSet",
    "NoteViewSet",
    "SearchView",
    "ShareCopyView",
    "ShareViewSet",
    "TagViewSet",
    "TopicViewSet",
]
