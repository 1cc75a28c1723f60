"""Deciding about a proposal: what is accepted is written at once, beside what others did, or not at all."""

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_tasks.models import Proposal
from ai_tasks.proposals import decide as decide_proposal
from notes import services as notes
from notes.blocks.hunks import compare
from notes.blocks.stored import new_blocks
from notes.models import NOTE_MAX_BYTES, TEXT_MAX_BYTES, Note, StorageUse, Topic
from study.models import Card
from study.services import create_card
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.proposals.helpers import (
    NEW,
    PROPOSALS,
    TEXT,
    A,
    B,
    C,
    ask,
    block_ids,
    decide,
    edit,
    finish,
    hunks_of,
    make_topic,
    propose,
    statuses,
    text_of,
    versions,
)
from tests.conftest import client_of
from tests.notes.test_hunks import batches, texts

# --- What is written --------------------------------------------------------------------------------------------------


def test_an_accepted_hunk_is_written_as_one_version_and_shown_with_its_topic(alice_client, topic, proposal):
    response = decide(alice_client, proposal, accept=[2])

    assert response.status_code == 200
    shown = response.json()
    text = A + "It runs a block of code until it ends.\n\n" + C
    assert (text_of(topic), versions()) == (text, [(1, "ai")])
    assert shown["topic"] == alice_client.get(f"/api/topics/{topic.pk}/").json()
    assert (shown["topic"]["explanation"], shown["topic"]["version"]) == (text, 2)
    assert (shown["proposal"]["status"], statuses(shown["proposal"])) == ("open", ["open", "accepted", "open", "open"])
    path = f"{PROPOSALS}{proposal.pk}/"
    assert (alice_client.get(path).json(), alice_client.get(path)["ETag"]) == (shown["proposal"], response["ETag"])


def test_a_decision_can_be_taken_back_by_its_version(alice, alice_client, topic, proposal):
    before = block_ids(topic)
    decide(alice_client, proposal, accept=[1, 2, 3, 4])

    notes.restore_version(user_id=alice.pk, note_id=topic.chapter.note_id, version=1)

    assert (text_of(topic), block_ids(topic)) == (TEXT, before)


def test_everything_accepted_is_the_answer_byte_for_byte(alice_client, topic, proposal):
    response = decide(alice_client, proposal, accept=[4, 3, 2, 1])

    assert (text_of(topic), response.json()["proposal"]["status"]) == (NEW, "resolved")
    assert versions() == [(1, "ai")]


def test_everything_rejected_leaves_text_and_version_as_they_are(alice_client, topic, proposal):
    first = decide(alice_client, proposal, reject=[1, 3])
    second = decide(alice_client, proposal, reject=[2, 4])

    assert (first.json()["proposal"]["status"], second.json()["proposal"]["status"]) == ("open", "resolved")
    assert statuses(second.json()["proposal"]) == ["rejected"] * 4
    assert (text_of(topic), versions(), Note.objects.get().version) == (TEXT, [], 1)


def test_accepting_and_rejecting_at_once_is_one_version(alice_client, topic, proposal):
    response = decide(alice_client, proposal, accept=[1, 4], reject=[2, 3])

    assert statuses(response.json()["proposal"]) == ["accepted", "rejected", "rejected", "accepted"]
    assert (text_of(topic), versions()) == ("# Loops\n\n" + A + B.strip(), [(1, "ai")])


def test_inserted_blocks_get_ids_when_they_are_accepted(alice_client, topic, proposal):
    first = hunks_of(decide(alice_client, proposal, accept=[1]).json()["proposal"])[1]

    assert first["block_id"] == block_ids(topic)[0]
    decide(alice_client, proposal, accept=[2, 3, 4])
    assert first["block_id"] == block_ids(topic)[0]
    shown = hunks_of(alice_client.get(f"{PROPOSALS}{proposal.pk}/").json())
    assert shown[3]["block_id"] == block_ids(topic)[3]


def test_blocks_that_stay_keep_their_ids(alice_client, topic, proposal):
    a, b, _ = block_ids(topic)

    decide(alice_client, proposal, accept=[1, 2, 3, 4])

    assert block_ids(topic)[1:3] == [a, b]


def test_a_moved_block_keeps_its_id(alice, alice_client, topic):
    a, b, c = block_ids(topic)
    proposal = propose(topic, alice, f"{C}\n\n{A}{B.strip()}")
    assert [(hunk["op"], hunk["after_block"]) for hunk in proposal.hunks] == [("move", None)]

    decide(alice_client, proposal, accept=[1])

    assert (text_of(topic), block_ids(topic)) == (f"{C}\n\n{A}{B.strip()}", [c, a, b])


def test_cards_of_a_replaced_block_are_told_in_the_same_transaction(alice, alice_client, topic, proposal):
    a, b, c = block_ids(topic)
    for block in (a, b, c):
        create_card(
            user_id=alice.pk, data={"front": "q", "back": "a", "topic_id": topic.pk, "block_id": block, "tags": []}
        )

    decide(alice_client, proposal, accept=[2, 4])

    flags = {card.block_id: (card.stale, card.orphan) for card in Card.objects.all()}
    assert flags == {a: (False, False), b: (True, False), c: (False, True)}


def test_code_is_written_with_its_language(alice, alice_client, topic):
    Topic.objects.filter(pk=topic.pk).update(code="old", code_language="python")
    finish(ask(topic, alice, "generate_code", language="rust"), "x", code="loop {}", code_language="rust")
    proposal = Proposal.objects.get()

    response = decide(alice_client, proposal, accept=[1])

    topic.refresh_from_db()
    assert (topic.code, topic.code_language, topic.explanation) == ("loop {}", "rust", TEXT)
    assert (response.json()["topic"]["code"], versions()) == ("loop {}", [(1, "ai")])


def test_rejected_code_stays(alice, alice_client, topic):
    finish(ask(topic, alice, "generate_code", language="rust"), "x", code="loop {}", code_language="rust")

    decide(alice_client, Proposal.objects.get(), reject=[1])

    assert (Topic.objects.get().code, versions()) == ("", [])


def test_a_text_that_differs_in_very_many_places_is_taken_as_a_whole(alice, alice_client):
    topic = make_topic(alice, "\n\n".join(f"a{n}" for n in range(1500)))
    after = "\n\n".join(f"b{n}" for n in range(1500))
    proposal = propose(topic, alice, after)
    edit(topic, "Mine.")

    drifted = decide(alice_client, proposal, accept=[1])
    assert (drifted.status_code, drifted.json()["hunks"][0]["before"]) == (412, "Mine.")
    assert decide(alice_client, proposal, accept=[1]).status_code == 200
    assert (text_of(topic), len(block_ids(topic))) == (after, 1500)


@given(texts, texts, st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_hunks_in_any_order_and_batches_make_one_text(alice, no_limits, before, after, chance):
    def decided(parts: list[list[int]], rejected: list[int]) -> str:
        topic = make_topic(alice, before)
        proposal = propose(topic, alice, after)
        for at, numbers in enumerate(parts):
            reject = [] if at else rejected
            decide_proposal(user_id=alice.pk, proposal_id=proposal.pk, accept=numbers, reject=reject)
        return text_of(topic)

    old = new_blocks(before)
    numbers = [hunk.n for hunk in compare(old, after)[0]] if after != before.strip() else []
    some = [n for n in numbers if chance.random() < 0.6]
    rest = [n for n in numbers if n not in some]

    assert decided(batches(numbers, chance) if numbers else [], []) == (after if numbers else before)
    if some:
        assert decided(batches(some, chance), rest) == decided([some], rest)


def test_white_space_that_is_inserted_first_stays(alice):
    """The text is the same until the rest is accepted, but its blocks are not."""
    topic = make_topic(alice, "\n    indented\n")
    proposal = propose(topic, alice, "\n")
    for number in (1, 2):
        decide_proposal(user_id=alice.pk, proposal_id=proposal.pk, accept=[number], reject=[])

    assert text_of(topic) == "\n"


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "required"),
        ({"accept": [], "reject": []}, "", "required"),
        ({"accept": [1, 1]}, "/accept/1", "duplicate"),
        ({"accept": [1], "reject": [2, 1]}, "/reject/1", "duplicate"),
        ({"accept": [2, 9]}, "/accept/1", "unknown_hunk"),
        ({"reject": [9]}, "/reject/0", "unknown_hunk"),
        ({"accept": [0]}, "/accept/0", "min_value"),
        ({"accept": ["1"]}, "/accept/0", "invalid"),
        ({"accept": [True]}, "/accept/0", "invalid"),
        ({"accept": 1}, "/accept", "not_a_list"),
        ({"accept": list(range(1, 2002))}, "/accept", "max_length"),
        ({"accept": [1], "all": True}, "/all", "unknown_field"),
    ],
)
def test_a_wrong_decision_is_refused_where_it_is_wrong(alice_client, topic, proposal, body, pointer, code):
    response = alice_client.post(f"{PROPOSALS}{proposal.pk}/decide/", body, format="json")

    assert response.status_code == 400
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert text_of(topic) == TEXT


@pytest.mark.parametrize("again", [{"accept": [1]}, {"reject": [1]}, {"accept": [3], "reject": [2, 1]}])
def test_what_was_decided_before_stays_so(alice_client, topic, proposal, again):
    decide(alice_client, proposal, accept=[1])

    response = decide(alice_client, proposal, **again)

    assert (response.status_code, response.json()["code"]) == (409, "hunk_decided")
    assert [error["pointer"] for error in response.json()["errors"]] == [
        "/reject/1" if 1 in again.get("reject", []) and len(again) == 2 else f"/{next(iter(again))}/0"
    ]
    assert text_of(topic) == "# Loops\n\n" + TEXT


def test_a_superseded_proposal_cannot_be_decided(alice, alice_client, topic, proposal):
    newer = finish(ask(topic, alice, context="other"), "Newer.")

    response = decide(alice_client, proposal, accept=[1])

    assert (response.status_code, response.json()["code"]) == (409, "proposal_superseded")
    assert newer.result["proposal_id"] != str(proposal.pk)
    assert text_of(topic) == TEXT


def test_what_does_not_fit_the_note_is_refused_whole(alice_client, topic, proposal):
    Note.objects.update(size_bytes=NOTE_MAX_BYTES)

    response = decide(alice_client, proposal, accept=[1], reject=[2])

    assert (response.status_code, response.json()["code"]) == (413, "note_too_large")
    assert response.json()["left"] == 0
    assert statuses(alice_client.get(f"{PROPOSALS}{proposal.pk}/").json()) == ["open"] * 4
    assert (text_of(topic), versions()) == (TEXT, [])


def test_what_does_not_fit_the_account_is_refused_whole(alice_client, topic, proposal):
    used = StorageUse.objects.get().size_bytes
    with override_settings(NOTES_BYTES_PER_USER=used):
        response = decide(alice_client, proposal, accept=[1])
        shrinking = decide(alice_client, proposal, accept=[4])

    assert (response.status_code, response.json()["code"]) == (413, "account_full")
    assert shrinking.status_code == 200
    assert StorageUse.objects.get().size_bytes == used - len("\n\n" + C)


def test_a_text_longer_than_a_topics_may_be_is_refused(alice, alice_client):
    base = "\n\n".join(f"Paragraph {n} {'x' * 900}" for n in range(95))
    topic = make_topic(alice, base)
    proposal = propose(topic, alice, "# New\n\n" + "y" * 20_000 + "\n\n" + base[:20_000])
    insertions = [hunk["n"] for hunk in proposal.hunks if hunk["op"] == "insert"]
    assert len(base) + 20_000 > TEXT_MAX_BYTES > len(base)
    others = [hunk["n"] for hunk in proposal.hunks if hunk["op"] != "insert"]

    response = decide(alice_client, proposal, accept=insertions)

    assert (response.status_code, response.json()["code"]) == (413, "text_too_large")
    assert decide(alice_client, proposal, accept=others).status_code == 200
    assert decide(alice_client, proposal, accept=insertions).status_code == 200


# --- At once, and what it costs ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_about_one_hunk_one_is_carried_out(alice):
    topic = make_topic(alice, TEXT)
    proposal = propose(topic, alice, NEW)
    client = client_of(alice)

    answers = in_threads(4, lambda _: decide(client, proposal, accept=[1]).status_code)

    assert sorted(answers) == [200, 409, 409, 409]
    assert text_of(topic) == "# Loops\n\n" + TEXT


@pytest.mark.django_db(transaction=True)
def test_decisions_and_edits_at_once_lose_nothing(alice):
    topic = make_topic(alice, TEXT)
    proposal = propose(topic, alice, NEW)
    client = client_of(alice)
    path = f"/api/topics/{topic.pk}/"

    def write(index):
        if index == 0:
            return client.patch(path, {"code": "mine"}, format="json").status_code
        return decide(client, proposal, accept=[index]).status_code

    assert in_threads(5, write) == [200] * 5
    assert (text_of(topic), Topic.objects.get().code) == (NEW, "mine")
    assert Note.objects.get().version == 6


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_decision_costs_the_same_for_any_number_of_hunks(alice, count, warm, django_assert_num_queries):
    base = [f"Paragraph {n} of the text that was asked about." for n in range(count)]
    topic = make_topic(alice, "\n\n".join(base))
    new = [line.replace("asked about", f"answered {n}") for n, line in enumerate(base)]
    proposal = propose(topic, alice, "\n\n".join(new))
    assert len(proposal.hunks) == count
    client = client_of(alice)
    warm(client)

    # Savepoint and release; the proposal's topic, its note, the lock, the texts, the proposal; the claim and the note
    # before it, five to keep the version; the topic, cards of what changed, the note's size, the user's; the proposal,
    # the topic.
    with django_assert_num_queries(STATEMENTS):
        response = decide(client, proposal, accept=range(1, count + 1))

    assert (response.status_code, text_of(topic)) == (200, "\n\n".join(new))


STATEMENTS = 22


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_rejection_costs_the_same_for_any_number_of_hunks(alice, count, warm, django_assert_num_queries):
    topic = make_topic(alice, TEXT)
    proposal = propose(topic, alice, "\n\n".join(f"# Heading {n}" for n in range(count)))
    numbers = [hunk["n"] for hunk in proposal.hunks]
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(9):
        assert decide(client, proposal, reject=numbers).status_code == 200
