"""Proposals: what an answer would change in the text that was asked about; made once for each task."""

import uuid

import pytest
from django.db import OperationalError, connection

from ai_tasks import ledger
from ai_tasks.models import AITask, Proposal
from notes import services as notes
from notes.models import NoteVersion, Topic
from tests.ai_tasks.ledger_helpers import expire_lease
from tests.ai_tasks.proposals.helpers import (
    PROPOSALS,
    answer,
    ask,
    block_ids,
    edit,
    finish,
    make_topic,
    propose,
    text_of,
)
from tests.database_faults import barrier, in_background, refusing

TASKS = "/api/ai/tasks/"
TEXT = "# Loops\n\nA loop repeats.\n\nIt ends at some point."


@pytest.fixture
def topic(alice):
    return make_topic(alice, TEXT, code="for x in y: pass", code_language="python")


def body(topic, **more):
    request = {"request_type": "generate_explanation", "request_data": {}, "topic_id": topic.pk, "apply": "propose"}
    return {**request, **more}


def short(hunks):
    return [(hunk["n"], hunk["op"], hunk["block_id"], hunk["after_block"], hunk["after"]) for hunk in hunks]


# --- Asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apply", [False, True, "propose"])
def test_apply_is_shown_as_it_was_sent(alice_client, topic, apply):
    made = alice_client.post(TASKS, body(topic, apply=apply), format="json")

    assert made.status_code == 202
    for shown in (
        made.json(),
        alice_client.get(made["Location"]).json(),
        alice_client.get(TASKS).json()["results"][0],
        alice_client.post(f"{made['Location']}cancel/").json(),
    ):
        assert shown["apply"] is apply if isinstance(apply, bool) else shown["apply"] == "propose"


@pytest.mark.parametrize("apply", ["Propose", "true", "", 1, 0, None, [], {}, ["propose"]])
def test_anything_else_than_true_false_and_propose_is_refused(alice_client, topic, apply):
    response = alice_client.post(TASKS, body(topic, apply=apply), format="json")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/apply")
    assert not AITask.objects.exists()


@pytest.mark.parametrize("topic_id", [None, "left out"])
def test_without_a_topic_nothing_can_be_proposed(alice_client, topic_id):
    request = {"request_type": "generate_explanation", "request_data": {"topic": "Loops"}, "apply": "propose"}
    request |= {} if topic_id else {"topic_id": topic_id}

    response = alice_client.post(TASKS, request, format="json")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/apply")


def test_a_summary_cannot_be_proposed(alice_client, topic):
    response = alice_client.post(TASKS, body(topic, request_type="summarize"), format="json")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/apply")


def test_requests_that_differ_in_apply_are_never_one_task_nor_share_an_answer(alice, alice_client, topic):
    answers = [alice_client.post(TASKS, body(topic, apply=apply), format="json") for apply in (False, True, "propose")]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    tasks = [AITask.objects.get(pk=answer.json()["id"]) for answer in answers]
    assert len({task.fingerprint for task in tasks}) == len({task.request_hash for task in tasks}) == 3

    again = alice_client.post(TASKS, body(topic), format="json")

    assert (again.status_code, again.json()["id"]) == (200, answers[2].json()["id"])


def test_one_idempotency_key_is_not_good_for_both(alice_client, topic):
    key = {"Idempotency-Key": "k"}
    alice_client.post(TASKS, body(topic), format="json", headers=key)

    other = alice_client.post(TASKS, body(topic, apply=True), format="json", headers=key)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


# --- Making -----------------------------------------------------------------------------------------------------------


def test_the_result_names_the_proposal_and_the_topic_stays_as_it_is(alice, alice_client, topic):
    task = finish(ask(topic, alice), TEXT.replace("repeats", "runs again"))

    shown = alice_client.get(f"{TASKS}{task.pk}/").json()

    assert (shown["status"], shown["applied_at"]) == ("succeeded", None)
    assert shown["message"] == "Done. Decide about the changes that it proposes"
    proposal = alice_client.get(f"{PROPOSALS}{shown['result']['proposal_id']}/").json()
    first, second, third = block_ids(topic)
    assert proposal.pop("created_at")
    assert proposal == {
        "id": shown["result"]["proposal_id"],
        "task_id": str(task.pk),
        "note_id": topic.chapter.note_id,
        "topic_id": topic.pk,
        "field": "explanation",
        "base_version": 1,
        "base_hash": notes.text_hash(TEXT),
        "status": "open",
        "hunks": [
            {
                "n": 1,
                "op": "replace",
                "block_id": second,
                "after_block": None,
                "before_hash": alice_client.get(f"/api/topics/{topic.pk}/blocks/").json()["results"][1]["hash"],
                "before": "A loop repeats.\n\n",
                "after": "A loop runs again.\n\n",
                "status": "open",
                "drifted": False,
            }
        ],
    }
    assert (first, third) == (block_ids(topic)[0], block_ids(topic)[2])
    assert (text_of(topic), NoteVersion.objects.count()) == (TEXT, 0)


def test_a_task_that_does_not_propose_names_no_proposal(alice, alice_client, topic):
    ledger.submit(user_id=alice.pk, request_type="generate_explanation", request_data={}, topic_id=topic.pk, apply=True)
    task = finish(AITask.objects.get(), "Other.")

    assert "proposal_id" not in alice_client.get(f"{TASKS}{task.pk}/").json()["result"]
    assert not Proposal.objects.exists()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("A a.\n\nB b.\n\nC c.", "A a.\n\nNew one.\n\nB b.\n\nC c.", [("insert", None, 0, "New one.\n\n")]),
        ("A a.\n\nB b.\n\nC c.", "New one.\n\nA a.\n\nB b.\n\nC c.", [("insert", None, None, "New one.\n\n")]),
        ("A a.\n\nB b.\n\nC c.", "A a.\n\nC c.", [("delete", 1, None, None)]),
        ("A a.\n\nB b.\n\nC c.", "C c.\n\nA a.\n\nB b.", [("move", 2, None, "C c.")]),
        ("A a.\n\nB b.\n\nC c.", "B b.\n\nC c.\n\nA a.", [("move", 0, 2, "A a.\n\n")]),
        ("A a.\n\nB b.\n\nC c.", "A a.\n\nB b.\n\nC c.\n\nD d.", [("insert", None, 2, "D d.")]),
        ("A a.\n\nB b.\n", "A a.\n\nB new.", [("replace", 1, None, "B new.\n")]),
        ("", "A a.\n\nB b.", [("insert", None, None, "A a.\n\n"), ("insert", None, None, "B b.")]),
        (
            "One two three four.\n\nAlpha beta gamma delta.",
            "Alpha beta gamma new.\n\nOne two three five.",
            [
                ("move", 1, None, "Alpha beta gamma delta."),
                ("replace", 1, None, "Alpha beta gamma new.\n\n"),
                ("replace", 0, None, "One two three five."),
            ],
        ),
        (
            "Old text.\n\nB b.\n\nWhat goes.",
            "# New\n\nB b.\n\nQuite other words.",
            [
                ("insert", None, None, "# New\n\n"),
                ("delete", 0, None, None),
                ("insert", None, 1, "Quite other words."),
                ("delete", 2, None, None),
            ],
        ),
    ],
)
def test_hunks_name_blocks_and_what_they_follow_in_the_order_of_the_document(alice, before, after, expected):
    topic = make_topic(alice, before)
    ids = dict(enumerate(block_ids(topic)))

    hunks = propose(topic, alice, after).hunks

    assert short(hunks) == [
        (n, op, ids.get(block), ids.get(follows), new) for n, (op, block, follows, new) in enumerate(expected, 1)
    ]


def test_code_is_one_hunk_without_a_block(alice, alice_client, topic):
    task = ask(topic, alice, "generate_code", language="rust")
    finish(task, "```rust\nloop {}\n```", code="loop {}", code_language="rust")

    proposal = alice_client.get(f"{PROPOSALS}{Proposal.objects.get().pk}/").json()

    assert (proposal["field"], proposal["base_hash"]) == ("code", notes.text_hash("for x in y: pass", "python"))
    [hunk] = proposal["hunks"]
    assert (hunk["op"], hunk["block_id"], hunk["after_block"]) == ("replace", None, None)
    assert (hunk["before"], hunk["after"]) == ("for x in y: pass", "loop {}")


def test_an_answer_that_says_the_same_is_resolved_without_hunks(alice, topic):
    task = finish(ask(topic, alice), TEXT)

    proposal = Proposal.objects.get()
    assert (proposal.status, proposal.hunks) == ("resolved", [])
    assert task.message == "Done. The answer is what your topic says already"


def test_texts_that_differ_in_very_many_places_are_one_hunk(alice, alice_client):
    topic = make_topic(alice, "\n\n".join(f"a{n}" for n in range(1500)))
    after = "\n\n".join(f"b{n}" for n in range(1500))

    proposal = propose(topic, alice, after)

    [hunk] = proposal.hunks
    assert (hunk["op"], hunk["block_id"], hunk["after"]) == ("replace", None, after)


def test_a_newer_proposal_for_the_field_supersedes(alice, topic):
    older, other = (
        propose(topic, alice, "Older."),
        finish(ask(topic, alice, "generate_code", language="c"), "x", code="x", code_language="c"),
    )
    newer = propose_again(topic, alice, "Newer.")

    statuses = {row.pk: row.status for row in Proposal.objects.all()}
    assert statuses == {older.pk: "superseded", uuid.UUID(other.result["proposal_id"]): "open", newer.pk: "open"}


def propose_again(topic, user, content):
    """Past the cache, which would answer an equal request."""
    task = ledger.submit(
        user_id=user.pk,
        request_type="improve_explanation",
        request_data={"instructions": content},
        topic_id=topic.pk,
        apply="propose",
    ).task
    return Proposal.objects.get(pk=finish(task, content).result["proposal_id"])


def test_it_is_compared_with_the_text_that_was_asked_about(alice, topic):
    task = ask(topic, alice)
    edit(topic, TEXT.replace("# Loops", "# All about loops") + "\n\nMine.")

    finish(task, TEXT.replace("repeats", "runs again"))

    proposal = Proposal.objects.get()
    assert (proposal.base_version, proposal.base_hash) == (1, notes.text_hash(TEXT))
    assert [(hunk["op"], hunk["before"]) for hunk in proposal.hunks] == [("replace", "A loop repeats.\n\n")]


def test_a_topic_from_before_there_were_blocks_gets_them(alice, topic):
    Topic.objects.filter(pk=topic.pk).update(blocks=None)

    proposal = propose(topic, alice, TEXT.replace("repeats", "runs again"))

    assert proposal.hunks[0]["block_id"] == block_ids(topic)[1]
    assert topic.chapter.note.version == 1


@pytest.mark.parametrize("gone", ["trashed", "deleted"])
def test_for_a_topic_that_is_gone_nothing_is_proposed(alice, alice_client, topic, gone):
    task = ask(topic, alice)
    if gone == "trashed":
        notes.delete_note(user_id=alice.pk, note_id=topic.chapter.note_id)
    else:
        notes.delete_topic(user_id=alice.pk, topic_id=topic.pk)

    finish(task, "Other.")

    shown = alice_client.get(f"{TASKS}{task.pk}/").json()
    assert (shown["status"], shown["result"]["proposal_id"]) == ("succeeded", None)
    assert not Proposal.objects.exists()


def test_an_incomplete_answer_and_one_that_is_none_propose_nothing(alice, topic):
    failed = ledger.claim(ask(topic, alice).pk)
    ledger.fail(failed, code="answer_cut", detail="cut", result=answer("Half of").result)
    attempt = ledger.claim(ask(topic, alice, context="other").pk)
    empty = ledger.succeed(attempt, type(answer(""))(**{**vars_of(answer("There is none.")), "applicable": False}))

    assert not Proposal.objects.exists()
    assert AITask.objects.get(pk=failed.task_id).status == "failed"
    assert empty.result["proposal_id"] is None


def vars_of(found):
    return {name: getattr(found, name) for name in type(found).__dataclass_fields__}


def test_an_attempt_that_was_overtaken_or_sent_twice_proposes_nothing_more(alice, topic):
    task = ask(topic, alice)
    overtaken = ledger.claim(task.pk)
    expire_lease(task)
    attempt = ledger.claim(task.pk)

    with pytest.raises(ledger.FenceLost):
        ledger.succeed(overtaken, answer("Overtaken."))
    ledger.succeed(attempt, answer("Right."))
    with pytest.raises(ledger.FenceLost):
        ledger.succeed(attempt, answer("Twice."))

    assert [hunk["after"] for hunk in Proposal.objects.get().hunks if hunk["after"]] == ["Right."]


@pytest.mark.django_db(transaction=True)
def test_a_task_that_is_cancelled_while_it_finishes_proposes_nothing(alice):
    task = ask(make_topic(alice, TEXT), alice)
    attempt = ledger.claim(task.pk)

    with (
        barrier("AFTER INSERT", "ai_tasks_proposal") as proposed,
        in_background(lambda: ledger.succeed(attempt, answer("Late."))) as ended,
    ):
        proposed.wait_for_one()
        ledger.cancel(task_id=task.pk, user_id=alice.pk)
        proposed.open()

    assert ended.result().status == "cancelled"
    assert not Proposal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_what_dies_before_its_commit_leaves_nothing_and_the_next_try_makes_one(alice):
    attempt = ledger.claim(ask(make_topic(alice, TEXT), alice).pk)

    with (
        refusing("AFTER UPDATE", "ai_tasks_aitask", sqlstate="ended", when="NEW.status = 'succeeded'"),
        pytest.raises(OperationalError),
    ):
        ledger.succeed(attempt, answer("Other."))
    connection.close()
    assert (Proposal.objects.count(), AITask.objects.get().status) == (0, "running")

    done = ledger.succeed(attempt, answer("Other."))

    assert str(Proposal.objects.get().pk) == done.result["proposal_id"]


def test_a_cached_answer_becomes_a_proposal_of_its_own(alice, alice_client, topic):
    first = finish(ask(topic, alice), "Other.")

    again = alice_client.post(TASKS, body(topic), format="json")

    assert (again.status_code, again.json()["cached"]) == (200, True)
    second = again.json()["result"]["proposal_id"]
    assert second != first.result["proposal_id"]
    assert {str(row.pk): row.status for row in Proposal.objects.all()} == {
        first.result["proposal_id"]: "superseded",
        second: "open",
    }


def test_a_retry_makes_a_proposal_for_the_text_of_the_first(alice, alice_client, topic):
    failed = ledger.claim(ask(topic, alice, "improve_explanation").pk)
    ledger.fail(failed, code="answer_cut", detail="cut")
    edit(topic, TEXT + "\n\nMine.")

    retried = alice_client.post(f"{TASKS}{failed.task_id}/retry/").json()
    finish(AITask.objects.get(pk=retried["id"]), TEXT.replace("repeats", "runs again"))

    assert (retried["apply"], retried["retry_of"]) == ("propose", str(failed.task_id))
    proposal = Proposal.objects.get()
    assert (str(proposal.task_id), proposal.base_hash) == (retried["id"], notes.text_hash(TEXT))
    assert [hunk["op"] for hunk in proposal.hunks] == ["replace"]


def test_an_answer_that_cannot_be_recorded_with_a_proposal_is_kept_without(alice, topic):
    task = ask(topic, alice)

    done = ledger.succeed(ledger.claim(task.pk), answer("Other."), may_apply=False)

    assert (done.status, done.result["content"], done.result["proposal_id"]) == ("succeeded", "Other.", None)
    assert not Proposal.objects.exists()
