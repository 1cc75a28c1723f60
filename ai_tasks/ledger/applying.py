"""Writing an answer to its topic, or proposing it."""

from enum import StrEnum

from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask
from ai_tasks.proposals import make_proposal
from notes.services import AccountFull, NoteTooLarge, apply_ai_answer


class ApplyOutcome(StrEnum):
    """The outcome of writing an answer to its topic; the value is the message for the user."""

    APPLIED = "Done, and written to your topic"
    NOTHING_TO_APPLY = "Done. There was no answer to write to your topic"
    NOT_APPLIED = "Done. Your topic changed meanwhile, so the answer was not written to it"
    NOTE_TOO_LARGE = "Done. Your note would be too large with the answer, so it was not written to it"
    ACCOUNT_FULL = "Done. Your account has no room for the answer, so it was not written to your topic"
    NOT_WRITABLE = "Done, but the answer could not be written to your topic"
    PROPOSED = "Done. Decide about the changes that it proposes"
    NOTHING_TO_CHANGE = "Done. The answer is what your topic says already"
    NOT_PROPOSED = "Done, but the topic is gone or in the trash, so nothing is proposed"
    NOTHING_TO_PROPOSE = "Done. There was no answer that could be proposed"
    NOT_ASKED_FOR = "Done"


def apply_answer(task: AITask, *, may_write: bool = True) -> ApplyOutcome:
    """Write a task's result to its topic if requested, if the topic's text is unchanged and if the answer fits.

    Or record it as a proposal, if that was requested. Sets ``task.result`` to the result to be recorded, with the id of
    the proposal and the changes of ``Handler.record``. Without ``may_write`` neither topic nor proposal is written.
    Runs in the caller's transaction and ``changing_pages_of``.
    """
    handler = HANDLERS[task.request_type]
    if task.proposes and task.result is not None:  # a cached answer has that of another task
        task.result = {**task.result, "proposal_id": None}
    if not may_write and (task.apply or task.proposes):
        outcome = ApplyOutcome.NOT_WRITABLE
    elif task.proposes:
        outcome = _propose(task, handler.applies_to)
    elif task.apply:
        outcome = _write(task, handler.applies_to)
    else:
        outcome = ApplyOutcome.NOT_ASKED_FOR
    task.result = handler.record(task.result, user_id=task.user_id, topic_id=task.topic_id, may_write=may_write)
    return outcome


def _write(task: AITask, field: str | None) -> ApplyOutcome:
    if not task.applicable:
        return ApplyOutcome.NOTHING_TO_APPLY
    if task.topic_id is None or task.result is None:
        return ApplyOutcome.NOT_APPLIED
    if field == "code":
        answer = {"code": task.result["code"], "code_language": task.result["code_language"]}
    else:
        answer = {"explanation": task.result["content"]}
    try:
        is_applied = apply_ai_answer(
            user_id=task.user_id, topic_id=task.topic_id, expected_hash=task.source_hash, **answer
        )
    except NoteTooLarge:
        return ApplyOutcome.NOTE_TOO_LARGE
    except AccountFull:
        return ApplyOutcome.ACCOUNT_FULL
    return ApplyOutcome.APPLIED if is_applied else ApplyOutcome.NOT_APPLIED


def _propose(task: AITask, field: str | None) -> ApplyOutcome:
    if not task.applicable or task.result is None or field is None:
        return ApplyOutcome.NOTHING_TO_PROPOSE
    proposal = make_proposal(task, task.result, field=field)
    if proposal is None:
        return ApplyOutcome.NOT_PROPOSED
    task.result = {**task.result, "proposal_id": str(proposal.pk)}
    return ApplyOutcome.PROPOSED if proposal.hunks else ApplyOutcome.NOTHING_TO_CHANGE
