"""URL paths of shared notes, below ``/s/``."""

from django.urls import path

from notes.views.shared_pages import shared_file, shared_note

urlpatterns = [
    path("<slug:slug>/", shared_note, name="shared-note"),
    path("<slug:slug>/files/<uuid:pk>/", shared_file, name="shared-file"),
]
