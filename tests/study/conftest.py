"""What the tests of study share."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.http import HttpResponse
from django.utils import timezone

from accounts.models import User
from study.models import MEMORY, Card, Face, StudyEvent
from study.services import Review, record_reviews
from study.services.schedules import fold_anew
from tests.ai_tasks.conftest import offline, openai_server  # noqa: F401  # fixtures
from tests.factories import CardFactory
from tests.study.making import TEXT, topic_with
from tests.study.quizzing import CAPITALS, HEART, make_note

CARDS = "/api/study/cards/"
DUE = "/api/study/due/"
REVIEWS = "/api/study/reviews/"
SETTINGS = "/api/study/settings/"
STATS = "/api/study/stats/"


@pytest.fixture(autouse=True)
def _many_requests(no_limits: None) -> None:
    """These tests send more requests than a student."""


@pytest.fixture
def send() -> Callable[..., HttpResponse]:
    def send(client: Any, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(client, method)(path, body, format="json", headers=named)

    return send


class Clock:
    """The server's time, which a test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def to(self, *moment: int) -> datetime:
        self.now = datetime(*moment, tzinfo=UTC)
        return self.now

    def forward(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Begins on a Monday at 10:00 UTC."""
    clock = Clock(datetime(2026, 3, 2, 10, tzinfo=UTC))
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock


@pytest.fixture
def review(clock: Clock) -> Callable[..., UUID]:
    """Review a card now; the id of the review."""

    def review(card: Card, rating: str = "good", *, face: int = 1, at: datetime | None = None) -> UUID:
        one = Review(uuid4(), card.pk, face, rating, at or clock.now, 1000)
        [outcome], _ = record_reviews(user_id=card.user_id, reviews=[one])
        assert outcome.outcome == "recorded", outcome
        return one.id

    return review


@pytest.fixture
def card(alice: Any, clock: Clock) -> Card:
    return CardFactory(user=alice, front="Where is the Louvre?", back="In Paris")


def columns_of(card: Card) -> list[tuple[Any, ...]]:
    """Everything of a card's schedules that follows from the log."""
    return list(Face.objects.filter(card=card.pk).order_by("n").values_list("n", "buried_until", *MEMORY))


def folded_anew(card: Card) -> list[tuple[Any, ...]]:
    faces = list(Face.objects.filter(card=card.pk).order_by("n"))
    fold_anew(card.pk, faces, StudyEvent.objects.of_cards([card.pk]))
    return [(face.n, face.buried_until, *(getattr(face, name) for name in MEMORY)) for face in faces]


def body(card: Card, rating: str = "good", *, at: datetime, **fields: Any) -> dict[str, Any]:
    """A review as a client sends it."""
    return {"id": str(uuid4()), "card_id": str(card.pk), "rating": rating, "reviewed_at": at.isoformat(), **fields}


def outcomes(response: Any) -> list[tuple[str, str | None]]:
    assert response.status_code == 200, response.content
    return [(result["outcome"], result.get("code")) for result in response.json()["results"]]


@pytest.fixture
def note_id(alice: Any) -> int:
    """A note with enough to ask about."""
    return make_note(alice, HEART)


@pytest.fixture
def capitals(alice: Any, clock: Clock) -> list[Card]:
    return [
        CardFactory(user=alice, front=f"Capital of {land}?", back=city, tags=["geo"]) for land, city in CAPITALS.items()
    ]


@pytest.fixture
def topic_id(transactional_db: None, alice: User) -> int:
    """A topic of Alice's with two passages to make cards of."""
    return topic_with(alice, TEXT)
