"""Checking a request before it becomes a task, and the hashes by which equal requests are found."""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

from django.conf import settings
from django.db.models import F, QuerySet

from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.base import Handler
from ai_tasks.money import ZERO
from ai_tasks.prices import greatest_cost
from ai_tasks.proposals import base_of
from ai_tasks.providers import OFFLINE, endpoints_of
from notes.models import Note, Topic
from notes.services import text_hash
from utils.database.compiled_queries import read_rows
from utils.http.errors import ApplicationError, InvalidRequest, NotFound
from utils.http.json import dumps

Apply = bool | Literal["propose"]
"""What becomes of the answer: it is written to the topic, or not, or becomes a proposal."""
LATEST_NOTES = 20
"""How many of a user's latest notes are compared to detect a change. One is not enough: ``updated_at`` is the time at
which a write's transaction began, so the later of two overlapping writes may have the earlier time."""


class UnknownRequestType(ApplicationError):
    code = "unknown_request_type"
    detail = "There is no such request type."

    def __init__(self, request_type: str) -> None:
        detail = "Known request types: " + ", ".join(HANDLERS) + "."
        super().__init__(detail, errors=[{"pointer": "/request_type", "code": self.code, "detail": detail}])


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidRequest:
    """A request that can become a task. Both hashes are equal for equal requests of one user only."""

    user_id: int
    request_type: str
    data: dict[str, Any]
    topic_id: int | None
    apply: Apply
    source_hash: str
    """Of the text that the answer may replace, so that it replaces no other text; empty if it replaces none."""
    base: dict[str, Any] | None
    """What the topic says, if the answer is to be proposed: see ``AITask.base``."""
    request_hash: str
    """Requests with the same one share an answer; an empty one is shared by none."""
    fingerprint: str
    """Requests with the same one share a task: they are also about the same text."""
    reservation: Decimal
    """The most that one attempt can cost: see :func:`reservation_for`."""


def validated(
    *, user_id: int, request_type: str, request_data: dict[str, Any], topic_id: int | None = None, apply: Apply = False
) -> ValidRequest:
    """Check a request and complete it.

    Raises ``UnknownRequestType``, ``InvalidRequestData``, ``InvalidRequest`` (``apply``), ``NotFound`` (a topic, or
    what the data names, is not the user's).
    """
    handler = HANDLERS.get(request_type)
    if handler is None:
        raise UnknownRequestType(request_type)
    data = handler.checked(request_data, user_id=user_id)
    topic = None
    if topic_id is not None:
        topic = (
            Topic.objects.owned_by(user_id).filter(pk=topic_id).annotate(version=F("chapter__note__version")).first()
        )
        if topic is None:
            raise NotFound
    if apply:
        _check_applicable(handler, topic)
    data = handler.resolve(data, topic)
    source_hash = _source_hash(handler, topic) if apply else ""
    first = next(iter(endpoints_of(request_type)), None)
    provider, model = (OFFLINE, None) if first is None else (first.name, first.model)
    same = [user_id, request_type, data, topic_id, apply, handler.prompt.version, provider, model]
    return ValidRequest(
        user_id=user_id,
        request_type=request_type,
        data=data,
        topic_id=topic_id,
        apply=apply,
        source_hash=source_hash,
        base=_base(handler, topic) if apply == "propose" else None,
        request_hash=_request_hash(handler, same, user_id=user_id, is_offline=provider == OFFLINE),
        fingerprint=_digest([*same, source_hash]),
        reservation=reservation_for(request_type, data),
    )


def reservation_for(request_type: str, request_data: dict[str, Any]) -> Decimal:
    """The most that one attempt can cost, in US dollars; 0 if no model that it may ask has a price."""
    if not settings.AI_PRICES:
        return ZERO
    handler = HANDLERS[request_type]
    messages = handler.messages(request_data)
    endpoints = endpoints_of(request_type)
    costs = (greatest_cost(endpoint.model, messages, more_bytes=handler.gathered_bytes) for endpoint in endpoints)
    return max((cost for cost in costs if cost is not None), default=ZERO)


def _check_applicable(handler: Handler, topic: Topic | None) -> None:
    detail = None
    if handler.applies_to is None:
        detail = "The answer of this request type cannot be written to a topic."
    elif topic is None:
        detail = "Name the topic that the answer is to be written to in topic_id."
    if detail:
        raise InvalidRequest(errors=[{"pointer": "/apply", "code": "invalid", "detail": detail}])


def _source_hash(handler: Handler, topic: Topic | None) -> str:
    if topic is None:
        return ""
    return text_hash(topic.code, topic.code_language) if handler.applies_to == "code" else text_hash(topic.explanation)


def _base(handler: Handler, topic: Any) -> dict[str, Any] | None:
    return None if handler.applies_to is None else base_of(topic, handler.applies_to, version=topic.version)


def _request_hash(handler: Handler, same: list[Any], *, user_id: int, is_offline: bool) -> str:
    """``ValidRequest.request_hash``, of all that an answer depends on.

    An offline answer that quotes the user's notes also depends on their versions. These are read before the answer is
    made, so a change in between only means that the answer is never reused.
    """
    if not handler.is_reused:
        return ""
    if not (is_offline and handler.quotes_notes_offline):
        return _digest(same)

    return _digest([*same, read_rows(_latest_notes, user_id=user_id)])


def _latest_notes(user_id: int) -> QuerySet[Note, Any]:
    notes = Note.objects.owned_by(user_id).order_by("-updated_at", "-id")  # in the trash, too
    return notes.values("id", "version")[:LATEST_NOTES]


def _digest(parts: list[Any]) -> str:
    return sha256(dumps(parts)).hexdigest()
