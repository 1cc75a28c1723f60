"""The state of a note's indexing, as the API shows it."""

from datetime import datetime
from typing import Literal, TypedDict

from django.utils import timezone

from ai_tasks.embedding_rows import NoteIndexing
from ai_tasks.embeddings import calls
from ai_tasks.providers import embedding_endpoint
from notes.models import Note

State = Literal["off", "waiting", "running", "current", "failed"]
DETAILS = {
    "worker_lost": "Indexing this note stopped its worker several times.",
    "internal_error": "Something went wrong on our side.",
    "ai_budget_reached": "Today's AI budget is used up. Indexing continues after 00:00 UTC.",
}


class Problem(TypedDict):
    code: str
    detail: str


class Indexing(TypedDict):
    """``model`` and the fields after it describe the vectors that the note has, which may be of an older text."""

    state: State
    model: str | None
    dimension: int | None
    passages: int
    skipped: int
    indexed_at: datetime | None
    error: Problem | None


def indexing_of(note_id: int, *, user_id: int) -> Indexing:
    """The state of a note's indexing: two queries, three while it waits. Raises ``Note.DoesNotExist``."""
    Note.objects.owned_by(user_id).live().only("pk").get(pk=note_id)
    endpoint = embedding_endpoint()
    if endpoint is None:
        return _shown("off", None)
    row = NoteIndexing.objects.filter(pk=note_id).first()
    problem = Problem(code=row.error_code, detail=DETAILS.get(row.error_code, "")) if row and row.error_code else None
    if row is not None and row.due_at is None:
        if problem:
            return _shown("failed", row, problem)
        if row.model == endpoint.model:
            return _shown("current", row)
    if row is not None and row.lease_expires_at is not None and row.lease_expires_at > timezone.now():
        return _shown("running", row)
    standing = calls.standing_of(endpoint)
    if standing.failures:
        problem = Problem(code=standing.error_code, detail=standing.error_detail)
    return _shown("waiting", row, problem)


def _shown(state: State, row: NoteIndexing | None, error: Problem | None = None) -> Indexing:
    has_vectors = row is not None and row.model != ""
    return Indexing(
        state=state,
        model=row.model if row and has_vectors else None,
        dimension=row.dimension if row and has_vectors else None,
        passages=row.passages if row else 0,
        skipped=row.skipped if row else 0,
        indexed_at=row.indexed_at if row else None,
        error=error,
    )
