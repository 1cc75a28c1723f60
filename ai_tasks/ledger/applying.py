"""Writing an answer to its topic, or proposing it, and the message about it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask
from ai_tasks.proposals import make_proposal
from notes.services import AccountFull, NoteTooLarge, apply_ai_answer

APPLIED_MESSAGE = "Done, and written to your topic"
NOTHING_TO_APPLY_MESSAGE = "Done. There was no answer to write to your topic"
NOT_APPLIED_MESSAGE = "Done. Your topic changed meanwhile, so the answer was not written to it"
NOT_WRITABLE_MESSAGE = "Done, but the answer could not be written to your topic"
NOTE_TOO_LARGE_MESSAGE = "Done. Your note would be too large with the answer, so it was not written to it"
ACCOUNT_FULL_MESSAGE = "Done. Your account has no room for the answer, so it was not written to your topic"
PROPOSED_MESSAGE = "Done. Decide about the changes that it proposes"
NOTHING_TO_CHANGE_MESSAGE = "Done. The answer is what your topic says already"
NOT_PROPOSED_MESSAGE = "Done, but the topic is gone or in the trash, so nothing is proposed"
NOTHING_TO_PROPOSE_MESSAGE = "Done. There was no answer that could be proposed"
DONE_MESSAGE = "Done"


class Application(StrEnum):
    """What became of writing an answer to its topic; the value is the message about it."""

    APPLIED = APPLIED_MESSAGE
    NOTHING_TO_APPLY = NOTHING_TO_APPLY_MESSAGE
    NOT_APPLIED = NOT_APPLIED_MESSAGE
    NOTE_TOO_LARGE = NOTE_TOO_LARGE_MESSAGE
    ACCOUNT_FULL = ACCOUNT_FULL_MESSAGE
    NOT_WRITABLE = NOT_WRITABLE_MESSAGE
    PROPOSED = PROPOSED_MESSAGE
    NOTHING_TO_CHANGE = NOTHING_TO_CHANGE_MESSAGE
    NOT_PROPOSED = NOT_PROPOSED_MESSAGE
    NOTHING_TO_PROPOSE = NOTHING_TO_PROPOSE_MESSAGE
    NOT_ASKED_FOR = DONE_MESSAGE


def recorded_result(task: AITask, *, may_write: bool) -> Mapping[str, Any]:
    """A task's result, as its request type records it in the caller's transaction: see ``Handler.record``."""
    handler = HANDLERS[task.request_type]
    return handler.record(task.result, user_id=task.user_id, topic_id=task.topic_id, may_write=may_write)


def apply_answer(user_id: int, topic_id: int | None, source_hash: str, task: AITask) -> Application:
    """Write a task's result to its topic if that is asked for, the topic's text is unchanged and the answer fits.

    If it is to be proposed, the proposal is recorded, and its id becomes a part of ``task.result``. Runs in the
    caller's transaction and ``changing_pages_of``.
    """
    if task.proposes:
        return _propose(user_id, task)
    if not task.apply:
        return Application.NOT_ASKED_FOR
    if not task.applicable:
        return Application.NOTHING_TO_APPLY
    if topic_id is None or task.result is None:
        return Application.NOT_APPLIED
    if HANDLERS[task.request_type].applies_to == "code":
        answer = {"code": task.result["code"], "code_language": task.result["code_language"]}
    else:
        answer = {"explanation": task.result["content"]}
    try:
        is_applied = apply_ai_answer(user_id=user_id, topic_id=topic_id, expected_hash=source_hash, **answer)
    except NoteTooLarge:
        return Application.NOTE_TOO_LARGE
    except AccountFull:
        return Application.ACCOUNT_FULL
    return Application.APPLIED if is_applied else Application.NOT_APPLIED


def without_proposal(task: AITask) -> None:
    """Say in the result of a task that proposes that there is none. An answer of the cache has another task's."""
    if task.proposes and task.result is not None:
        task.result = {**task.result, "proposal_id": None}


def _propose(user_id: int, task: AITask) -> Application:
    without_proposal(task)
    field = HANDLERS[task.request_type].applies_to
    if not task.applicable or task.result is None or field is None:
        return Application.NOTHING_TO_PROPOSE
    proposal = make_proposal(user_id=user_id, task=task, answer=task.result, field=field)
    if proposal is None:
        return Application.NOT_PROPOSED
    task.result = {**task.result, "proposal_id": str(proposal.pk)}
    return Application.PROPOSED if proposal.hunks else Application.NOTHING_TO_CHANGE
