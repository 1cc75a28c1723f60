"""Carrying out what a user decides about a proposal."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from ai_tasks.models import Proposal
from ai_tasks.proposals.current import Current, Ground
from notes.blocks.carrying_out import carry_out, replace_whole
from notes.blocks.hunks import Hunk
from notes.models import TEXT_MAX_BYTES, Topic
from notes.services import OverBudget, TopicTexts, blocks_of, lock_topic, write_blocks, write_code
from notes.sizes import text_size
from utils.http.errors import Conflict, FieldError, InvalidRequest, PreconditionFailed, pointer_to
from utils.http.rendering import render
from utils.page_cache.invalidation import changing_pages_of

Etags = Collection[str] | None
"""The tags of the proposal at which a decision is allowed; None for any."""
Shown = dict[str, Any]


class ProposalDrifted(PreconditionFailed):
    """Nothing was applied. The response has the ``hunks`` as they are now: deciding again accepts them so."""

    code = "proposal_drifted"
    detail = "Blocks that the accepted hunks change have changed in the meantime. Review the hunks again."


class ProposalChanged(PreconditionFailed):
    """The proposal's tag is not among the expected ones. The response has the ``hunks`` as they are now."""

    code = "proposal_changed"
    detail = "The proposal has changed since you read it."


class ProposalSuperseded(Conflict):
    code = "proposal_superseded"
    detail = "There is a newer proposal for this field."


class HunkDecided(Conflict):
    code = "hunk_decided"
    detail = "This hunk was already decided."


class TextTooLarge(OverBudget):
    """The topic's text would be longer than a topic's text may be."""

    code = "text_too_large"
    detail = (
        f"The topic's text would be longer than {TEXT_MAX_BYTES} bytes. Reject some hunks, or accept deletions first."
    )


class Decision(NamedTuple):
    proposal: Shown
    topic: Topic


def decide(
    *, user_id: int, proposal_id: UUID, accept: Sequence[int], reject: Sequence[int], if_match: Etags = None
) -> Decision:
    """Accept some hunks of a proposal and reject others, by their numbers: all or nothing.

    What is accepted is written at once, as one new version of the note. A hunk has *drifted* if its block says
    something else than when AI was asked. It is accepted only by somebody who saw that: who named the proposal's
    present tag, or was told so before.

    Raises ``Proposal.DoesNotExist`` (also if the topic is deleted or in the trash), :class:`ProposalSuperseded`,
    :class:`ProposalChanged`, ``InvalidRequest`` for an unknown number, :class:`HunkDecided`, :class:`ProposalDrifted`
    and ``OverBudget``.
    """
    mine = Proposal.objects.owned_by(user_id).filter(pk=proposal_id)
    with changing_pages_of(user_id):
        topic = lock_topic(user_id=user_id, topic_id=mine.values_list("topic_id", flat=True).get())
        if topic is None:
            raise Proposal.DoesNotExist
        # Every write to a proposal takes its note's lock first.
        proposal = Proposal.objects.get(pk=proposal_id)
        current = _current(proposal, topic)
        if proposal.status == Proposal.Status.SUPERSEDED:
            raise ProposalSuperseded
        if if_match is not None and render(current.shown(topic.note_id)).etag not in if_match:
            raise ProposalChanged(hunks=current.shown_hunks())
        accepted, rejected = _chosen(current.hunks, accept=accept, reject=reject)
        grounds = {hunk.n: current.ground(hunk) for hunk in current.hunks}
        unseen = if_match is None and any(_is_unseen(hunk, grounds[hunk.n]) for hunk in accepted)
        if unseen:
            _note_seen(current.hunks, grounds)
        else:
            _carry_out(user_id, current, topic, accepted, rejected, grounds)
        _save(current)
        if not unseen:
            shown = current.shown(topic.note_id)
            return Decision(shown, Topic.objects.for_api().get(pk=topic.topic_id))
    # After COMMIT: it is recorded which texts the user is told of now.
    raise ProposalDrifted(hunks=current.shown_hunks())


def _current(proposal: Proposal, topic: TopicTexts) -> Current:
    return Current(
        proposal,
        explanation=topic.explanation,
        blocks=blocks_of(topic),
        code=topic.code,
        code_language=topic.code_language,
    )


def _chosen(hunks: Sequence[Hunk], *, accept: Sequence[int], reject: Sequence[int]) -> tuple[list[Hunk], list[Hunk]]:
    """The hunks that are accepted and rejected. Each error points at its number."""
    known = {hunk.n: hunk for hunk in hunks}
    named = [(known.get(n), pointer_to(name, at)) for name, of in _named(accept, reject) for at, n in enumerate(of)]
    unknown = [_error(pointer, "unknown_hunk", "There is no such hunk.") for hunk, pointer in named if hunk is None]
    if unknown:
        raise InvalidRequest(errors=unknown)
    decided = [
        _error(pointer, HunkDecided.code, HunkDecided.detail)
        for hunk, pointer in named
        if hunk is not None and not hunk.is_open
    ]
    if decided:
        raise HunkDecided(errors=decided)
    return [known[n] for n in sorted(accept)], [known[n] for n in reject]


def _named(accept: Sequence[int], reject: Sequence[int]) -> Iterable[tuple[str, Sequence[int]]]:
    return ("accept", accept), ("reject", reject)


def _error(pointer: str, code: str, detail: str) -> FieldError:
    return {"pointer": pointer, "code": code, "detail": detail}


def _is_unseen(hunk: Hunk, ground: Ground) -> bool:
    return ground.drifted and hunk.seen != ground.digest


def _note_seen(hunks: Iterable[Hunk], grounds: dict[int, Ground]) -> None:
    for hunk in hunks:
        if hunk.is_open and grounds[hunk.n].drifted:
            hunk.seen = grounds[hunk.n].digest


def _carry_out(
    user_id: int,
    current: Current,
    topic: TopicTexts,
    accepted: Sequence[Hunk],
    rejected: Sequence[Hunk],
    grounds: dict[int, Ground],
) -> None:
    for hunk in (*accepted, *rejected):
        hunk.before, hunk.drifted = grounds[hunk.n]
    for hunk in rejected:
        hunk.status = "rejected"
    if not accepted:
        return
    if current.proposal.field == Proposal.Field.CODE:
        accepted[0].status = "accepted"
        code, language = accepted[0].after or "", current.proposal.code_language
        if (code, language) != (topic.code, topic.code_language):
            write_code(user_id=user_id, topic=topic, code=code, code_language=language)
        return
    if accepted[0].is_whole:
        blocks = replace_whole(current.blocks, accepted[0])
    else:
        blocks = carry_out(current.blocks, current.hunks, current.layout, {hunk.n for hunk in accepted})
    text = "".join(block.text for block in blocks)
    # White space alone may be a block of its own within the same text: later hunks build on it.
    if blocks != current.blocks:
        _check_size(text, topic.explanation)
        write_blocks(user_id=user_id, topic=topic, blocks=blocks)


def _check_size(text: str, before: str) -> None:
    size, used = text_size(text), text_size(before)
    if size > TEXT_MAX_BYTES and size > used:
        raise TextTooLarge(used=used, limit=TEXT_MAX_BYTES)


def _save(current: Current) -> None:
    proposal = current.proposal
    proposal.hunks = [hunk.as_json() for hunk in current.hunks]
    if not any(hunk.is_open for hunk in current.hunks):
        proposal.status = Proposal.Status.RESOLVED
    proposal.save(update_fields=["hunks", "status"])
