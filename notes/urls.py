"""URL paths of notes, below ``/api/``."""

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from notes.views import (
    AttachmentViewSet,
    BrokenLinkViewSet,
    ChapterViewSet,
    NoteAttachmentViewSet,
    NoteVersionViewSet,
    NoteViewSet,
    SearchView,
    ShareCopyView,
    ShareViewSet,
    TagViewSet,
    TopicViewSet,
)
from notes.views.common import ID_PATTERN
from notes.views.exports import NoteExportView, NoteSelectionExportView
from notes.views.imports import CancelImportView, NoteImportViewSet
from notes.views.note_exports import NoteExportViewSet

router = SimpleRouter()
router.register("notes", NoteViewSet, basename="note")
router.register(rf"notes/(?P<note_pk>{ID_PATTERN})/versions", NoteVersionViewSet, basename="note-version")
router.register(rf"notes/(?P<note_pk>{ID_PATTERN})/attachments", NoteAttachmentViewSet, basename="note-attachment")
router.register("chapters", ChapterViewSet, basename="chapter")
router.register("topics", TopicViewSet, basename="topic")
router.register("links/broken", BrokenLinkViewSet, basename="broken-link")
router.register("tags", TagViewSet, basename="tag")

by_uuid = SimpleRouter(use_regex_path=False)
by_uuid.register("attachments", AttachmentViewSet, basename="attachment")
by_uuid.register("notes/exports", NoteExportViewSet, basename="note-pdf")
by_uuid.register("notes/imports", NoteImportViewSet, basename="note-import")
by_uuid.register("notes/<int:note_pk>/shares", ShareViewSet, basename="share")

urlpatterns = [
    *router.urls,
    *by_uuid.urls,
    re_path(rf"^notes/(?P<pk>{ID_PATTERN})/export/$", NoteExportView.as_view(), name="note-export"),
    path("notes/imports/<uuid:pk>/cancel/", CancelImportView.as_view(), name="note-import-cancel"),
    path("notes/export/", NoteSelectionExportView.as_view(), name="note-selection-export"),
    path("search/", SearchView.as_view(), name="search"),
    path("shares/<slug:slug>/copy/", ShareCopyView.as_view(), name="share-copy"),
]
