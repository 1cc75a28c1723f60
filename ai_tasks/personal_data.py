"""Export and deletion of AI tasks and proposals."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from uuid import UUID

from ai_tasks import progress
from ai_tasks.embedding_rows import EmbeddingUse, NoteIndexing, PassageVector
from ai_tasks.models import AITask, Proposal
from utils.personal_data import File, PersonalData, Rows, json_array, register

_BATCH_SIZE = 20
"""A task may have some hundred kilobytes."""
_TASK = (
    "id", "request_type", "request_data", "topic_id", "status", "result", "error_code", "error_detail", "provider",
    "model", "input_tokens", "output_tokens", "cost", "created_at", "started_at", "finished_at",
)  # fmt: skip
_PROPOSAL = (
    "id", "task_id", "topic_id", "field", "base_version", "base_hash", "code_language", "status", "hunks", "created_at",
)  # fmt: skip


def _rows(user_id: int) -> list[Rows]:
    return [
        Rows(PassageVector.objects.filter(user_id=user_id)),
        Rows(NoteIndexing.objects.filter(note__user_id=user_id)),
        Rows(EmbeddingUse.objects.filter(user_id=user_id)),
        Rows(Proposal.objects.filter(user_id=user_id)),
        Rows(AITask.objects.filter(user_id=user_id), redis_keys=_keys_of_tasks),
    ]


def _keys_of_tasks(task_ids: Sequence[UUID]) -> Iterable[str]:
    return [key for task_id in task_ids for key in (progress.live_key(task_id), progress.events_key(task_id))]


def _files(user_id: int) -> Iterator[File]:
    yield "ai_tasks.json", json_array(AITask.objects.filter(user_id=user_id), _TASK, batch_size=_BATCH_SIZE)
    yield "proposals.json", json_array(Proposal.objects.filter(user_id=user_id), _PROPOSAL, batch_size=_BATCH_SIZE)


def _block_reports(user_id: int) -> Callable[[], None]:
    unfinished = AITask.objects.filter(user_id=user_id, status__in=AITask.UNFINISHED)
    return partial(progress.block_reports, list(unfinished.values_list("pk", flat=True)))


register(
    "ai_tasks",
    PersonalData(
        rows=_rows,
        files=_files,
        exported=(AITask, Proposal),
        withheld={
            PassageVector: "is made of the notes, which are exported, and tells a person nothing",
            NoteIndexing: "tells how far the vectors of notes are made, of which another account has none",
            EmbeddingUse: "counts what one day's vectors of the notes took, and is overwritten by the next day",
        },
        prepare_deletion=_block_reports,
    ),
)
