"""What the tests of imports share: an upload, a worker that carries it out, and its report."""

import io
import zipfile
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from notes.models import Note
from notes.services import imports

IMPORTS = "/api/notes/imports/"


def upload(client, name: str, content: bytes, **fields: Any):
    data = {"file": SimpleUploadedFile(name, content), **fields}
    return client.post(IMPORTS, data, format="multipart")


def report_of(client, name: str, content: bytes, **fields: Any) -> dict[str, Any]:
    """Upload, let a worker do its work, and read the answer."""
    response = upload(client, name, content, **fields)
    assert response.status_code == 202, response.content
    imports.carry_out_import(response.json()["id"])
    return client.get(response["Location"]).json()


def outcomes(job: dict[str, Any]) -> list[tuple[str, str]]:
    return [(file["name"], file["outcome"]) for file in job["report"]["files"]]


def zipped(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def exported(client, note_id: int) -> bytes:
    return client.get(f"/api/notes/{note_id}/export/").content


def contents(note: Note) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (chapter.title, [(topic.title, topic.explanation) for topic in chapter.topics.all()])
        for chapter in note.chapters.all()
    ]
