"""Reading proposals: lists and details at a fixed cost, hidden from strangers, kept as long as their tasks."""

import uuid

import pytest

from ai_tasks.models import AITask, Proposal
from notes import services as notes
from tests.ai_tasks.proposals.helpers import (
    PROPOSALS,
    TEXT,
    ask,
    finish,
    make_topic,
    propose,
    text_of,
)
from tests.conftest import client_of


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_list_costs_one_query_and_shows_no_hunks(alice, topic, count, warm, django_assert_num_queries):
    for _ in range(count):
        task = AITask.objects.create(
            user=alice, request_type="generate_explanation", request_data={}, topic=topic, proposes=True
        )
        Proposal.objects.create(
            task=task,
            user=alice,
            topic=topic,
            field="explanation",
            base_version=1,
            status="resolved",
            hunks=[],
            layout={},
        )
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(1) as queries:
        listed = client.get(f"{PROPOSALS}?page_size=100").json()["results"]

    assert (len(listed), "hunks" in listed[0], "hunks" in queries.captured_queries[0]["sql"]) == (count, False, False)


def test_the_list_is_filtered_and_paged(alice, alice_client, topic):
    other = make_topic(alice, "Other.")
    first, second = propose(topic, alice, "A."), propose(other, alice, "B.")
    code = finish(ask(topic, alice, "generate_code", language="c"), "x", code="x", code_language="c")
    code_id = code.result["proposal_id"]

    def listed(query):
        return [row["id"] for row in alice_client.get(f"{PROPOSALS}?{query}").json()["results"]]

    assert listed("") == [code_id, str(second.pk), str(first.pk)]
    assert listed(f"note={other.chapter.note_id}") == [str(second.pk)]
    assert listed(f"topic={topic.pk}&field=explanation&status=open") == [str(first.pk)]
    assert listed("status=superseded") == []
    page = alice_client.get(f"{PROPOSALS}?page_size=2").json()
    assert [row["id"] for row in alice_client.get(page["next"]).json()["results"]] == [str(first.pk)]
    assert alice_client.get(f"{PROPOSALS}?status=odd").status_code == 400
    assert alice_client.get(f"{PROPOSALS}?odd=1").status_code == 400


def test_a_proposal_costs_one_query(alice, topic, warm, django_assert_num_queries):
    proposal, client = propose(topic, alice, "Other."), client_of(alice)
    warm(client)

    with django_assert_num_queries(1):  # it, and what its topic says
        response = client.get(f"{PROPOSALS}{proposal.pk}/")

    assert client.get(f"{PROPOSALS}{proposal.pk}/", headers={"If-None-Match": response["ETag"]}).status_code == 304


@pytest.mark.parametrize("path", ["", "decide/"])
def test_a_strangers_proposal_looks_like_one_that_does_not_exist(alice, charlie, charlie_client, topic, path):
    proposal = propose(topic, alice, "Other.")
    answers = [
        charlie_client.post(f"{PROPOSALS}{pk}/{path}", {"accept": [1]}, format="json")
        if path
        else charlie_client.get(f"{PROPOSALS}{pk}/")
        for pk in (proposal.pk, uuid.uuid4())
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert {**answers[0].json(), "request_id": ""} == {**answers[1].json(), "request_id": ""}
    assert charlie_client.get(PROPOSALS).json()["results"] == []
    assert text_of(topic) == TEXT


@pytest.mark.parametrize("gone", ["trashed", "deleted"])
def test_a_proposal_goes_with_its_topic_and_comes_back_with_it(alice, alice_client, topic, gone):
    proposal = propose(topic, alice, "Other.")
    path = f"{PROPOSALS}{proposal.pk}/"
    if gone == "trashed":
        notes.delete_note(user_id=alice.pk, note_id=topic.chapter.note_id)
    else:
        notes.delete_topic(user_id=alice.pk, topic_id=topic.pk)

    decided = alice_client.post(f"{path}decide/", {"accept": [1]}, format="json")
    assert (alice_client.get(path).status_code, decided.status_code) == (404, 404)
    assert alice_client.get(PROPOSALS).json()["results"] == []

    if gone == "trashed":
        notes.restore_note(user_id=alice.pk, note_id=topic.chapter.note_id)
    else:
        notes.restore_version(user_id=alice.pk, note_id=topic.chapter.note_id, version=1)
    assert alice_client.get(path).json()["hunks"][0]["drifted"] is False


def test_a_proposal_is_kept_as_long_as_its_task(alice, topic):
    proposal = propose(topic, alice, "Other.")

    AITask.objects.all().delete()

    assert not Proposal.objects.filter(pk=proposal.pk).exists()
