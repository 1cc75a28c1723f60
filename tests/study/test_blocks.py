"""Cards that are tied to a passage learn in the same transaction what becomes of it."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from notes import services as notes
from notes.blocks.words import words_of
from notes.models import Note, NoteVersion
from study.models import Card
from study.services import create_card
from tests.factories import UserFactory
from tests.study.conftest import CARDS, DUE
from tests.study.making import blocks_of, edit, topic_with

TEXT = "The heart has four chambers.\n\nIt beats about 70 times a minute.\n\n```\nbeat()\n```\n"


@pytest.fixture
def topic_id(alice) -> int:
    chapters = [{"title": "c", "topics": [{"title": "t", "explanation": TEXT}]}]
    note = notes.create_note(user_id=alice.pk, data={"title": "Heart", "chapters": chapters})
    return note["chapters"][0]["topics"][0]["id"]


@pytest.fixture
def blocks(alice, topic_id) -> list[str]:
    return [block.id for block in notes.get_blocks(user_id=alice.pk, topic_id=topic_id).blocks]


@pytest.fixture
def tied(alice_client, send, topic_id, blocks) -> list[str]:
    """A card for each block."""
    made = []
    for block_id in blocks:
        body = {"front": "q", "back": "a", "topic_id": topic_id, "block_id": block_id}
        response = send(alice_client, "post", CARDS, body)
        assert (response.status_code, response.json()["block_id"]) == (201, block_id)
        made.append(response.json()["id"])
    return made


def flags(cards: list[str]) -> list[str]:
    rows = {str(card.pk): card for card in Card.objects.all()}
    return ["orphan" if rows[pk].orphan else "stale" if rows[pk].stale else "" for pk in cards]


def test_a_changed_passage_makes_only_its_cards_stale(alice, alice_client, topic_id, tied):
    edit(alice, topic_id, TEXT.replace("70", "75"))

    assert flags(tied) == ["", "stale", ""]
    assert alice_client.get(f"{CARDS}{tied[1]}/")["ETag"] == '"2"'
    assert [card["id"] for card in alice_client.get(f"{CARDS}?stale=true").json()["results"]] == [tied[1]]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("The heart has four chambers.", "The **heart** has four   chambers", ""),
        ("The heart has four chambers.", "The heart has not four chambers.", "stale"),
        ("The heart has four chambers.", "The heart four has chambers.", "stale"),
    ],
)
def test_words_decide_not_their_looks(alice, topic_id, tied, before, after, found):
    edit(alice, topic_id, TEXT.replace(before, after))

    assert flags(tied) == [found, "", ""]


def test_in_code_every_character_counts(alice, topic_id, tied):
    edit(alice, topic_id, TEXT.replace("beat()", "beat( )"))

    assert flags(tied) == ["", "", "stale"]


def test_what_says_the_same_again_is_no_longer_stale(alice, topic_id, tied):
    edit(alice, topic_id, TEXT.replace("70", "75"))
    edit(alice, topic_id, TEXT)

    assert flags(tied) == ["", "", ""]


def test_a_removed_passage_leaves_an_orphan_that_is_still_due(alice, alice_client, topic_id, tied):
    edit(alice, topic_id, "The heart has four chambers.\n")

    assert flags(tied) == ["", "orphan", "orphan"]
    assert alice_client.get(DUE).json()["counts"]["new"] == 3


def test_a_restored_version_clears_both(alice, topic_id, tied):
    note_id = Note.objects.get().pk
    edit(alice, topic_id, "The heart has five chambers.\n")
    assert flags(tied) == ["stale", "orphan", "orphan"]

    notes.restore_version(user_id=alice.pk, note_id=note_id, version=1)

    assert flags(tied) == ["", "", ""]


def test_a_deleted_topic_leaves_orphans_until_it_is_restored(alice, alice_client, send, topic_id, tied):
    whole = send(alice_client, "post", CARDS, {"front": "q", "back": "a", "topic_id": topic_id}).json()["id"]

    notes.delete_topic(user_id=alice.pk, topic_id=topic_id)
    deleted = flags([*tied, whole])
    notes.restore_version(user_id=alice.pk, note_id=Note.objects.get().pk, version=1)

    assert deleted == ["orphan"] * 4
    assert flags([*tied, whole]) == [""] * 4


def test_a_confirmed_card_is_compared_with_what_the_passage_says_today(alice, alice_client, send, topic_id, tied):
    edit(alice, topic_id, TEXT.replace("70", "75"))

    response = send(alice_client, "post", f"{CARDS}{tied[1]}/confirm/")

    assert (response.status_code, response.json()["stale"]) == (200, False)
    edit(alice, topic_id, TEXT.replace("70", "75."))
    assert flags(tied) == ["", "", ""]
    edit(alice, topic_id, TEXT)
    assert flags(tied) == ["", "stale", ""]


def test_what_is_gone_cannot_be_confirmed(alice, alice_client, send, topic_id, tied):
    edit(alice, topic_id, "The heart has four chambers.\n")
    removed = send(alice_client, "post", f"{CARDS}{tied[1]}/confirm/")
    notes.delete_topic(user_id=alice.pk, topic_id=topic_id)
    deleted = send(alice_client, "post", f"{CARDS}{tied[0]}/confirm/")

    assert [(one.status_code, one.json()["code"]) for one in (removed, deleted)] == [(409, "passage_gone")] * 2


def test_a_block_is_named_with_its_topic(alice_client, send, blocks, topic_id):
    alone = send(alice_client, "post", CARDS, {"front": "q", "back": "a", "block_id": blocks[0]})
    unknown = send(alice_client, "post", CARDS, {"front": "q", "back": "a", "topic_id": topic_id, "block_id": "none"})

    assert (alone.status_code, alone.json()["errors"][0]["pointer"]) == (400, "/topic_id")
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (404, "/block_id")


def test_a_strangers_block_is_like_none(charlie_client, send, topic_id, blocks):
    body = {"front": "q", "back": "a", "topic_id": topic_id, "block_id": blocks[0]}
    theirs = send(charlie_client, "post", CARDS, body, X_Request_ID="1")
    none = send(charlie_client, "post", CARDS, {**body, "topic_id": 2**60, "block_id": "x"}, X_Request_ID="1")

    assert theirs.status_code == 404
    assert theirs.content == none.content


def test_a_card_is_tied_anew_and_untied(alice, alice_client, send, topic_id, blocks, tied):
    edit(alice, topic_id, TEXT.replace("70", "75"))
    path = f"{CARDS}{tied[1]}/"

    anew = send(alice_client, "patch", path, {"block_id": blocks[0]}).json()
    edited = send(alice_client, "patch", path, {"front": "x"}).json()
    untied = send(alice_client, "patch", path, {"block_id": None}).json()

    assert (anew["block_id"], anew["stale"], edited["block_id"]) == (blocks[0], False, blocks[0])
    assert (untied["block_id"], untied["topic_id"]) == (None, topic_id)


@pytest.mark.parametrize("count", [1, 100])
def test_a_write_to_a_topic_costs_two_queries_more(alice, topic_id, blocks, count):
    edit(alice, topic_id, f"{TEXT}\nmore")  # keeps the version of this while
    with CaptureQueriesContext(connection) as without:
        edit(alice, topic_id, f"{TEXT}\nstill more")
    Card.objects.bulk_create(
        Card(pk=uuid4(), user=alice, front="q", topic_id=topic_id, block_id=blocks[n % 2], block_text="old")
        for n in range(count)
    )

    with CaptureQueriesContext(connection) as with_cards:
        edit(alice, topic_id, "Everything is new here: nothing of it was said before.\n")

    assert len(with_cards) - len(without) == 1  # the cards are looked for in any case


# --- Any edits --------------------------------------------------------------------------------------------------------

PARAGRAPH = st.tuples(
    st.integers(0, 5),
    st.sampled_from(["{} beats seventy times.", "{} *beats* seventy times", "{} beats ninety times.", "{} rests."]),
)
EDITS = st.lists(
    st.one_of(
        st.lists(PARAGRAPH, max_size=6),  # any text, paragraphs moved, removed, said twice
        st.just("undo"),
        st.just("restore"),
    ),
    min_size=1,
    max_size=6,
)


def text_of(paragraphs: list[tuple[int, str]]) -> str:
    return "".join(pattern.format(f"Part {number} of the heart") + "\n\n" for number, pattern in paragraphs)


@seed(17)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits=EDITS)
def test_after_any_edits_a_card_is_stale_or_an_orphan_by_its_passage_alone(db, edits):
    user = UserFactory()
    first = text_of([(number, "{} beats seventy times.") for number in range(4)])
    topic_id, untouched = topic_with(user, first), topic_with(user, first)
    cards = [
        create_card(user_id=user.pk, data={"front": "q", "back": "a", "topic_id": topic, "block_id": block.id}).card
        for topic in (topic_id, untouched)
        for block in blocks_of(user, topic)
    ]
    note_id = Note.objects.get(chapters__topics=topic_id).pk
    texts, before = [first], {card.pk: (False, False, 1) for card in cards}

    for step in edits:
        if step == "restore":
            oldest = NoteVersion.objects.filter(note=note_id).order_by("version").first()
            if oldest is not None:
                notes.restore_version(user_id=user.pk, note_id=note_id, version=oldest.version)
        else:
            texts.append(texts[-2] if step == "undo" and len(texts) > 1 else first if step == "undo" else text_of(step))
            edit(user, topic_id, texts[-1])
        current = {block.id: block for topic in (topic_id, untouched) for block in blocks_of(user, topic)}
        after = {card.pk: (card.stale, card.orphan, card.version) for card in Card.objects.filter(user=user)}
        for card in cards:
            block = current.get(card.block_id)
            stale = block is not None and words_of(block.text) != words_of(card.block_text)
            assert after[card.pk][:2] == (stale, block is None)
            was_changed = after[card.pk][:2] != before[card.pk][:2]
            assert after[card.pk][2] == before[card.pk][2] + was_changed
        before = after
