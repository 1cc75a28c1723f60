"""Cards: written and found by their owner, and by nobody else."""

from uuid import uuid4

import pytest

from notes.models import Topic
from study.models import Card, Face, StudyEvent
from study.services import propose_cards, update_card
from tests.database_faults import after_queries
from tests.factories import CardFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.study.conftest import CARDS

CLOZE = "{{c1::Paris::a city}} is the capital of {{c2::France}}, {{c1::Lyon}} is not."


@pytest.fixture
def topic(alice):
    return TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))


def problems(response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


def test_a_card_is_new_with_one_face(alice_client, send, topic):
    body = {"front": " 2 + 2? ", "back": "4", "tags": ["Maths", "maths"], "topic_id": topic.pk}

    response = send(alice_client, "post", CARDS, body)

    assert response.status_code == 201
    shown = response.json()
    face = {
        "n": 1, "state": "new", "due_at": None, "stability": None, "difficulty": None, "reps": 0, "lapses": 0,
        "buried_until": None,
    }  # fmt: skip
    assert shown == {
        **{name: value for name, value in face.items() if name != "n"},
        "id": shown["id"],
        "kind": "basic",
        "front": " 2 + 2? ",
        "back": "4",
        "tags": ["maths"],
        "topic_id": topic.pk,
        "block_id": None,
        "suspended": False,
        "stale": False,
        "orphan": False,
        "replaces": None,
        "faces": [face],
        "version": 1,
        "created_at": shown["created_at"],
    }
    assert response["Location"] == f"{CARDS}{shown['id']}/"
    assert response["ETag"] == '"1"'
    again = alice_client.get(response["Location"])
    assert (again.json(), again["ETag"]) == (shown, '"1"')
    assert alice_client.get(CARDS).json()["results"] == [shown]


@pytest.mark.parametrize(
    ("kind", "front", "numbers"),
    [("basic", "a", [1]), ("reversed", "a", [1, 2]), ("cloze", CLOZE, [1, 2]), ("cloze", "{{c7::a}}", [7])],
)
def test_each_deletion_and_each_direction_is_a_face(alice_client, send, kind, front, numbers):
    shown = send(alice_client, "post", CARDS, {"kind": kind, "front": front, "back": "b"}).json()

    assert [face["n"] for face in shown["faces"]] == numbers


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"back": "b"}, "/front", "required"),
        ({"front": " ", "back": "b"}, "/front", "blank"),
        ({"front": "a", "kind": "reversed"}, "/back", "blank"),
        ({"front": "a", "back": "\n", "kind": "reversed"}, "/back", "blank"),
        ({"front": "a", "back": "b", "kind": "cloze"}, "/front", "invalid_cloze"),
        ({"front": "{{c0::a}}", "kind": "cloze"}, "/front", "invalid_cloze"),
        ({"front": "{{c999::a}}", "kind": "cloze"}, "/front", "invalid_cloze"),
        ({"front": "".join(f"{{{{c{n}::a}}}}" for n in range(1, 52)), "kind": "cloze"}, "/front", "invalid_cloze"),
        ({"front": "ä" * 10_001, "back": "b"}, "/front", "max_length"),
        ({"front": 1, "back": "b"}, "/front", "invalid"),
        ({"front": "a", "back": "b", "kind": "other"}, "/kind", "invalid_choice"),
        ({"front": "a", "back": "b", "tags": ["a,b"]}, "/tags/0", "invalid"),
        ({"front": "a", "back": "b", "topic_id": "1"}, "/topic_id", "invalid"),
        ({"front": "a", "back": "b", "topic_id": 2**63}, "/topic_id", "max_value"),
        ({"front": "a", "back": "b", "suspended": True}, "/suspended", "unknown_field"),
        ({"front": "a", "back": "b", "state": "review"}, "/state", "unknown_field"),
    ],
)
def test_what_is_no_card_is_refused(alice_client, send, body, pointer, code):
    response = send(alice_client, "post", CARDS, body)

    assert (response.status_code, problems(response)) == (400, [(pointer, code)])
    assert not Card.objects.exists()


def test_a_topic_of_somebody_else_is_like_none(charlie_client, send, topic):
    theirs = send(charlie_client, "post", CARDS, {"front": "a", "back": "b", "topic_id": topic.pk}, X_Request_ID="1")
    none = send(charlie_client, "post", CARDS, {"front": "a", "back": "b", "topic_id": 2**60}, X_Request_ID="1")

    assert theirs.status_code == 404
    assert problems(theirs) == [("/topic_id", "not_found")]
    assert theirs.content == none.content


def test_a_key_makes_one_card(alice_client, send):
    bodies = [
        send(alice_client, "post", CARDS, {"front": "a", "back": "b"}, Idempotency_Key="1").json() for _ in range(2)
    ]

    assert bodies[0] == bodies[1]
    assert Card.objects.count() == 1


def test_a_change_raises_the_version_and_keeps_the_schedule(alice_client, send, card, review):
    review(card)
    before = alice_client.get(f"{CARDS}{card.pk}/").json()

    response = send(alice_client, "patch", f"{CARDS}{card.pk}/", {"front": "Where?"}, If_Match='"2"')

    assert (response.status_code, response["ETag"]) == (200, '"3"')
    assert response.json() == before | {"front": "Where?", "version": 3}
    assert alice_client.get(f"{CARDS}{card.pk}/").json() == response.json()


def test_a_change_to_what_it_is_already_changes_nothing(alice_client, send, card):
    response = send(alice_client, "patch", f"{CARDS}{card.pk}/", {"front": card.front, "tags": []})

    assert (response.status_code, response["ETag"]) == (200, '"1"')


def test_an_old_version_is_refused(alice_client, send, card):
    for method, path, body in (
        ("patch", f"{CARDS}{card.pk}/", {"front": "x"}),
        ("put", f"{CARDS}{card.pk}/", {"front": "x", "back": "y"}),
        ("delete", f"{CARDS}{card.pk}/", None),
        ("post", f"{CARDS}{card.pk}/suspend/", None),
        ("post", f"{CARDS}{card.pk}/reset/", None),
    ):
        response = send(alice_client, method, path, body, If_Match='"7"')
        assert (response.status_code, response.json()["current_version"]) == (412, 1)
    assert not StudyEvent.objects.exists()


def test_a_put_takes_what_is_left_out_as_the_default(alice_client, send, alice):
    card = CardFactory(user=alice, tags=["a"], kind="reversed")

    shown = send(alice_client, "put", f"{CARDS}{card.pk}/", {"front": "x", "back": "y"}).json()

    assert (shown["kind"], shown["tags"], [face["n"] for face in shown["faces"]]) == ("basic", [], [1])


def test_a_patch_is_checked_with_what_is_there(alice_client, send, card):
    response = send(alice_client, "patch", f"{CARDS}{card.pk}/", {"kind": "cloze"})

    assert (response.status_code, problems(response)) == (400, [("/front", "invalid_cloze")])


@pytest.mark.parametrize(
    ("before", "meanwhile", "changes"),
    [
        ({"kind": "basic", "front": CLOZE}, {"front": "plain"}, {"kind": "cloze"}),
        ({"kind": "basic", "back": "Paris"}, {"back": ""}, {"kind": "reversed"}),
    ],
)
def test_a_change_that_another_one_has_made_wrong_is_refused(alice, alice_client, send, before, meanwhile, changes):
    card = CardFactory(user=alice, **before)
    others = iter([meanwhile])

    def overtake() -> None:
        for change in others:  # once
            update_card(user_id=alice.pk, card_id=card.pk, changes=change)

    with after_queries(lambda sql: 'FROM "study_card"' in sql, overtake):
        response = send(alice_client, "patch", f"{CARDS}{card.pk}/", changes)

    assert (response.status_code, response.json().get("current_version")) == (412, 2)
    assert Card.objects.get().kind == "basic"


def test_a_deletion_that_comes_back_has_its_old_schedule(alice_client, send, alice, clock, review):
    card = CardFactory(user=alice, kind="cloze", front=CLOZE)
    clock.forward(minutes=1)
    review(card, face=2)
    before = alice_client.get(f"{CARDS}{card.pk}/").json()["faces"]

    send(alice_client, "patch", f"{CARDS}{card.pk}/", {"front": "{{c1::Paris}}"})
    between = alice_client.get(f"{CARDS}{card.pk}/").json()["faces"]
    send(alice_client, "patch", f"{CARDS}{card.pk}/", {"front": CLOZE})

    assert [face["n"] for face in between] == [1]
    assert between[0]["buried_until"] is None  # it has no sibling
    assert alice_client.get(f"{CARDS}{card.pk}/").json()["faces"] == before


def test_a_deleted_card_is_gone_and_its_reviews_stay(alice_client, send, card, review):
    review(card)

    assert send(alice_client, "delete", f"{CARDS}{card.pk}/").status_code == 204

    assert alice_client.get(f"{CARDS}{card.pk}/").status_code == 404
    assert alice_client.get(CARDS).json()["results"] == []
    assert (Card.objects.count(), Face.objects.count(), StudyEvent.objects.count()) == (0, 0, 1)


def test_a_suspended_card_says_so_and_comes_back(alice_client, send, card):
    suspended = send(alice_client, "post", f"{CARDS}{card.pk}/suspend/").json()
    again = send(alice_client, "post", f"{CARDS}{card.pk}/suspend/").json()
    back = send(alice_client, "post", f"{CARDS}{card.pk}/unsuspend/").json()

    assert [(one["suspended"], one["version"]) for one in (suspended, again, back)] == [
        (True, 2), (True, 2), (False, 3),
    ]  # fmt: skip
    assert Face.objects.get().active


def test_a_reset_card_is_new_and_its_reviews_stay(alice_client, send, card, review, clock):
    review(card, "easy")
    clock.forward(days=1)

    shown = send(alice_client, "post", f"{CARDS}{card.pk}/reset/").json()

    assert (shown["state"], shown["reps"], shown["due_at"], shown["stability"]) == ("new", 0, None, None)
    assert list(StudyEvent.objects.order_by("id").values_list("kind", flat=True)) == ["review", "reset"]


def test_a_card_without_a_passage_has_nothing_to_confirm(alice_client, send, card):
    response = send(alice_client, "post", f"{CARDS}{card.pk}/confirm/")

    assert (response.status_code, response.json()["code"]) == (409, "not_tied_to_block")


# --- Lists ------------------------------------------------------------------------------------------------------------


def found(client, query: str) -> list[str]:
    response = client.get(f"{CARDS}?{query}")
    assert response.status_code == 200, response.content
    return sorted(card["front"] for card in response.json()["results"])


def test_filters_find_what_they_name(alice, alice_client, topic, clock, review):
    other = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))
    CardFactory(user=alice, front="loops repeat", back="yes", topic_id=topic.pk, tags=["python", "exam"])
    CardFactory(user=alice, front="guards end loops", back="no", topic_id=other.pk, tags=["python"])
    known = CardFactory(user=alice, front="Paris", back="the capital", kind="reversed")
    propose_cards(user_id=alice.pk, cards=[{"front": "maybe", "back": "b"}])
    Card.objects.filter(pk=known.pk).update(stale=True)
    review(known)

    assert found(alice_client, f"topic={topic.pk}") == ["loops repeat"]
    assert found(alice_client, f"note={other.chapter.note_id}") == ["guards end loops"]
    assert found(alice_client, "tag=Python") == ["guards end loops", "loops repeat"]
    assert found(alice_client, "q=loop+yes") == ["loops repeat"]
    assert found(alice_client, "q=CAPITAL") == ["Paris"]
    assert found(alice_client, "stale=true") == ["Paris"]
    assert found(alice_client, "state=proposed") == ["maybe"]
    assert found(alice_client, "state=learning") == ["Paris"]
    assert found(alice_client, "state=new") == ["Paris", "guards end loops", "loops repeat"]  # its other side
    assert found(alice_client, "state=review") == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("state=old", "/state"), ("note=x", "/note"), ("stale=perhaps", "/stale"), ("tag=a,b", "/tag"), ("x=1", "/x")],
)
def test_a_wrong_filter_is_refused(alice_client, query, pointer):
    response = alice_client.get(f"{CARDS}?{query}")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, pointer)


def test_anothers_note_and_topic_have_no_cards(alice, charlie_client, topic):
    CardFactory(user=alice, topic_id=topic.pk)

    assert found(charlie_client, f"topic={topic.pk}") == found(charlie_client, f"note={topic.chapter.note_id}") == []
    assert found(charlie_client, "") == []


def test_pages_hold_every_card_once_the_newest_first(alice, alice_client, clock):
    for n in range(5):
        CardFactory(user=alice, front=str(n))
        clock.forward(seconds=n % 2)
    seen, path = [], f"{CARDS}?page_size=2"
    while path:
        page = alice_client.get(path).json()
        seen += [card["front"] for card in page["results"]]
        path = page["next"]

    assert sorted(seen) == ["0", "1", "2", "3", "4"]
    assert seen[0] == "4"


def test_an_unchanged_list_and_card_are_a_304(alice_client, card, review):
    for path in (CARDS, f"{CARDS}{card.pk}/"):
        etag = alice_client.get(path)["ETag"]
        assert alice_client.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 304
        review(card)
        assert alice_client.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 200


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_list_costs_the_same_for_any_number(alice, alice_client, count, warm, django_assert_num_queries):
    for _ in range(count):
        CardFactory(user=alice, kind="reversed")
    warm(alice_client)

    with django_assert_num_queries(1):  # the page, faces included
        response = alice_client.get(f"{CARDS}?page_size=100")

    assert len(response.json()["results"]) == count
    card_id = response.json()["results"][0]["id"]
    with django_assert_num_queries(1):
        alice_client.get(f"{CARDS}{card_id}/")


def test_writes_cost_a_fixed_number_of_queries(alice, alice_client, send, topic, warm, django_assert_num_queries):
    CardFactory(user=alice)
    warm(alice_client)
    body = {"kind": "cloze", "front": CLOZE, "topic_id": topic.pk}

    with django_assert_num_queries(7):  # SAVEPOINT, the lock, the topic, card, faces, the budget, RELEASE
        shown = send(alice_client, "post", CARDS, body).json()
    path = f"{CARDS}{shown['id']}/"
    with django_assert_num_queries(9):  # the card; SAVEPOINT, the lock, card and faces, UPDATE, sizes, budget, RELEASE
        send(alice_client, "patch", path, {"back": "x"})
    with django_assert_num_queries(6):  # SAVEPOINT, the lock, card and faces, two UPDATEs, RELEASE
        send(alice_client, "post", f"{path}suspend/")
    with django_assert_num_queries(8):  # SAVEPOINT, the lock, card and faces, the log: INSERT, SELECT; UPDATEs, RELEASE
        send(alice_client, "post", f"{path}reset/")
    with django_assert_num_queries(
        10
    ):  # SAVEPOINT, the lock, card and faces; SELECT, two DELETEs, sizes, budget, RELEASE
        send(alice_client, "delete", path)


def test_a_deleted_topic_leaves_its_cards(alice, alice_client, topic, send):
    card = CardFactory(user=alice, topic_id=topic.pk)

    Topic.objects.filter(pk=topic.pk).delete()

    assert alice_client.get(f"{CARDS}{card.pk}/").status_code == 200


def test_strangers_get_the_404_of_nothing(charlie_client, send, card):
    for method, path, body in (
        ("get", "", None),
        ("patch", "", {"front": "x"}),
        ("put", "", {"front": "x", "back": "y"}),
        ("delete", "", None),
        ("post", "suspend/", None),
        ("post", "unsuspend/", None),
        ("post", "reset/", None),
        ("post", "confirm/", None),
    ):
        theirs = send(charlie_client, method, f"{CARDS}{card.pk}/{path}", body, X_Request_ID="1")
        none = send(charlie_client, method, f"{CARDS}{uuid4()}/{path}", body, X_Request_ID="1")
        assert theirs.status_code == none.status_code == 404
        assert theirs.content == none.content
    assert Card.objects.get().version == 1
