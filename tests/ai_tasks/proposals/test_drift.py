"""A proposal beside what others write: edits of other blocks stay; one of the same block is shown before it is lost."""

from ai_tasks.models import Proposal
from notes import services as notes
from notes.models import Note, Topic
from tests.ai_tasks.proposals.helpers import (
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


def test_edits_of_other_blocks_never_block_a_hunk_and_stay(alice_client, topic, proposal):
    edit(topic, "Mine.\n\n" + A.replace("repeats", "repeats, said Ada") + B + C + "\n\nMine, too.")

    response = decide(alice_client, proposal, accept=[1, 2, 4])

    assert response.status_code == 200
    assert text_of(topic) == (
        "# Loops\n\nMine.\n\nA loop repeats, said Ada.\n\nIt runs a block of code until it ends.\n\nMine, too."
    )


def test_an_insertion_stands_after_the_nearest_block_before_it_that_is_left(alice, alice_client):
    topic = make_topic(alice, "One one.\n\nTwo two.\n\nThree three.\n\nFour four.")
    after = "One one.\n\nNew a.\n\nTwo two.\n\nThree three.\n\nNew b.\n\nNew c.\n\nFour four."
    proposal = propose(topic, alice, after)
    one, _, three, _ = block_ids(topic)
    assert [hunk["after_block"] for hunk in proposal.hunks] == [one, three, three]
    edit(topic, "One one.\n\nFour four.")

    for numbers in ([3], [1], [2]):
        assert decide(alice_client, proposal, accept=numbers).status_code == 200

    assert text_of(topic) == "One one.\n\nNew a.\n\nNew b.\n\nNew c.\n\nFour four."


def test_a_block_that_changed_drifts_and_nothing_is_applied(alice_client, topic, proposal):
    mine = "It runs a block of code, says my teacher, again and again.\n\n"
    edit(topic, A + mine + C)

    response = decide(alice_client, proposal, accept=[1, 2], reject=[4])

    assert (response.status_code, response.json()["code"]) == (412, "proposal_drifted")
    shown = hunks_of(response.json())
    blocks = alice_client.get(f"/api/topics/{topic.pk}/blocks/").json()["results"]
    assert (shown[2]["before"], shown[2]["drifted"]) == (mine, True)
    assert shown[2]["before_hash"] == blocks[1]["hash"]
    assert [(n, hunk["status"], hunk["drifted"]) for n, hunk in shown.items()] == [
        (1, "open", False), (2, "open", True), (3, "open", False), (4, "open", False),
    ]  # fmt: skip
    assert (text_of(topic), [reason for _, reason in versions()]) == (A + mine + C, ["edit"])
    assert alice_client.get(f"{PROPOSALS}{proposal.pk}/").json()["hunks"] == response.json()["hunks"]


def test_a_drifted_hunk_may_be_accepted_once_it_was_shown(alice_client, topic, proposal):
    edit(topic, A + "It runs a block of code forever and again.\n\n" + C)
    assert decide(alice_client, proposal, accept=[2]).status_code == 412

    response = decide(alice_client, proposal, accept=[2])

    assert response.status_code == 200
    assert text_of(topic) == A + "It runs a block of code until it ends.\n\n" + C
    shown = hunks_of(response.json()["proposal"])[2]
    assert (shown["status"], shown["drifted"]) == ("accepted", True)
    assert shown["before"] == "It runs a block of code forever and again.\n\n"


def test_a_hunk_that_drifts_again_is_shown_again(alice_client, topic, proposal):
    for text in ("It runs a block of code forever and again.\n\n", "It runs a block of code now and again.\n\n"):
        edit(topic, A + text + C)

        response = decide(alice_client, proposal, accept=[2])

        assert (response.status_code, hunks_of(response.json())[2]["before"]) == (412, text)


def test_a_drifted_hunk_may_be_rejected_at_once(alice_client, topic, proposal):
    mine = A + "It runs a block of code forever and again.\n\n" + C
    edit(topic, mine)

    response = decide(alice_client, proposal, reject=[2])

    assert (response.status_code, statuses(response.json()["proposal"])[1]) == (200, "rejected")
    assert text_of(topic) == mine


def test_a_block_that_says_what_it_said_has_not_drifted(alice_client, topic, proposal):
    edit(topic, A + "It runs a block of code forever and again.\n\n" + C)
    edit(topic, TEXT.replace("\n", "\r\n") + "\r\n\r\nMine.\r\n")

    response = decide(alice_client, proposal, accept=[2, 4])

    assert (response.status_code, "until it ends" in text_of(topic)) == (200, True)


def test_a_block_that_is_gone_drifts_and_its_replacement_comes_where_it_stood(alice_client, topic, proposal):
    edit(topic, A + C)

    first = decide(alice_client, proposal, accept=[2])
    assert first.status_code == 412
    hunk = hunks_of(first.json())[2]
    assert (hunk["before"], hunk["before_hash"], hunk["drifted"]) == (None, None, True)

    assert decide(alice_client, proposal, accept=[2]).status_code == 200
    assert text_of(topic) == A + "It runs a block of code until it ends.\n\n" + C


def test_deleting_what_is_gone_changes_nothing_and_makes_no_version(alice_client, topic, proposal):
    edit(topic, A + B.strip())
    version = Note.objects.get().version

    assert decide(alice_client, proposal, accept=[4]).status_code == 412
    assert decide(alice_client, proposal, accept=[4]).status_code == 200

    assert (text_of(topic), Note.objects.get().version) == (A + B.strip(), version)


def test_a_text_that_a_process_of_the_release_before_wrote_is_not_lost(alice_client, topic, proposal):
    Topic.objects.filter(pk=topic.pk).update(explanation="Mine.\n\n" + TEXT)  # and leaves the blocks as they were

    assert decide(alice_client, proposal, accept=[1, 2]).status_code == 412
    assert decide(alice_client, proposal, accept=[1, 2]).status_code == 200

    assert text_of(topic) == f"# Loops\n\nIt runs a block of code until it ends.\n\nMine.\n\n{TEXT}"


def test_code_that_changed_drifts(alice, alice_client, topic):
    finish(ask(topic, alice, "generate_code", language="rust"), "x", code="loop {}", code_language="rust")
    notes.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"code": "mine"})
    proposal = Proposal.objects.get()

    first = decide(alice_client, proposal, accept=[1])

    assert (first.status_code, first.json()["hunks"][0]["before"]) == (412, "mine")
    assert decide(alice_client, proposal, accept=[1]).status_code == 200
    assert Topic.objects.get().code == "loop {}"


def test_a_topic_that_moved_to_another_note_is_decided_there(alice, alice_client, topic, proposal):
    other = make_topic(alice, "Other.")
    notes.move_topic(user_id=alice.pk, topic_id=topic.pk, order=0, chapter_id=other.chapter_id)

    shown = decide(alice_client, proposal, accept=[2]).json()

    assert (shown["proposal"]["note_id"], shown["topic"]["chapter"]) == (other.chapter.note_id, other.chapter_id)


# --- If-Match ---------------------------------------------------------------------------------------------------------


def test_the_tag_of_what_one_has_seen_is_honoured(alice_client, topic, proposal):
    path = f"{PROPOSALS}{proposal.pk}/"
    seen = alice_client.get(path)["ETag"]
    decided = decide(alice_client, proposal, reject=[1], If_Match=seen)
    assert decided.status_code == 200

    stale = decide(alice_client, proposal, accept=[2], If_Match=seen)

    assert (stale.status_code, stale.json()["code"]) == (412, "proposal_changed")
    assert stale.json()["hunks"] == alice_client.get(path).json()["hunks"]
    assert text_of(topic) == TEXT
    assert decide(alice_client, proposal, reject=[2], If_Match=f"W/{decided['ETag']}").status_code == 200
    assert decide(alice_client, proposal, reject=[3], If_Match="*").status_code == 200


def test_a_drift_changes_the_tag_and_who_has_seen_it_may_accept_at_once(alice_client, topic, proposal):
    path = f"{PROPOSALS}{proposal.pk}/"
    before = alice_client.get(path)["ETag"]
    edit(topic, A + "It runs a block of code forever and again.\n\n" + C)
    after = alice_client.get(path)

    assert hunks_of(after.json())[2]["drifted"] is True
    assert decide(alice_client, proposal, accept=[2], If_Match=before).json()["code"] == "proposal_changed"
    assert decide(alice_client, proposal, accept=[2], If_Match=after["ETag"]).status_code == 200
    assert "until it ends" in text_of(topic)


def test_an_edit_of_another_block_leaves_the_tag_as_it_is(alice_client, topic, proposal):
    path = f"{PROPOSALS}{proposal.pk}/"
    before = alice_client.get(path)["ETag"]

    edit(topic, A.replace("repeats", "repeats, said Ada") + B + C + "\n\nMine.")

    assert alice_client.get(path)["ETag"] == before
