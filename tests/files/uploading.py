"""Attachments in tests: sent as a browser's form sends them."""

from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from rest_framework.test import APIClient

from notes.models import Note
from tests.files.images import saved

PNG = saved("PNG")


def upload(
    client: APIClient,
    note: Note,
    content: bytes = PNG,
    name: str = "photo.png",
    content_type: str = "image/png",
    **headers: str,
) -> HttpResponse:
    file = SimpleUploadedFile(name, content, content_type)
    return client.post(f"/api/notes/{note.pk}/attachments/", {"file": file}, format="multipart", headers=headers)


def body_of(response: HttpResponse) -> bytes:
    return response.getvalue()
