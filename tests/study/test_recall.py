"""Explaining a topic from memory: what was covered, missed and denied, by words alone."""

# ruff: noqa: RUF001  # letters that look like others are meant

import random
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notes import services as notes
from notes.blocks.splitting import split
from study.models import Recall
from study.quizzes.recall import compare
from study.services import recalls as recall_services

RECALLS = "/api/study/recalls/"
HEART = """# The heart

The heart has four chambers. It beats about 70 times a minute.

- **Atrium**: an upper chamber
- **Ventricle**: a lower chamber that pumps

> Arteries do not have valves, but veins do.

```
beat()
```

東京は日本の首都です。"""


def compared(topic: str, text: str) -> tuple[int, list[str]]:
    found = compare([(str(at), piece.kind, piece.text) for at, piece in enumerate(split(topic))], text)
    return found.score, [block.state for block in found.blocks]


def test_the_passage_itself_is_everything_and_nothing_is_nothing():
    assert compared(HEART, HEART) == (100, ["covered"] * 6)
    assert compared(HEART, "") == (0, ["missing"] * 6)
    assert compared(HEART, " \n ") == (0, ["missing"] * 6)


def test_the_order_does_not_matter():
    blocks = [piece.text.strip() for piece in split(HEART)]
    for seed in range(20):
        random.Random(seed).shuffle(blocks)
        assert compared(HEART, "\n\n".join(blocks)) == (100, ["covered"] * 6)
    assert compared("Lions eat meat. Cows eat grass.", "Cows eat grass. Lions eat meat.") == (100, ["covered"])


def test_other_words_around_and_other_forms_are_the_same():
    assert compared("The heart has four chambers.", "There are FOUR *chambers* in a hêart") == (100, ["covered"])


def test_what_is_left_out_is_missing_and_half_is_partial():
    topic = "The heart has four chambers.\n\nVeins carry blood towards it.\n\nLungs add oxygen.\n"

    assert compared(topic, "The heart has four chambers. Veins carry things.") == (
        50,
        ["covered", "partial", "missing"],
    )


def test_headings_and_code_count_only_where_there_is_nothing_else():
    topic = "# Heart\n\nIt has four chambers.\n\n```\nbeat(now)\n```\n"

    assert compared(topic, "It has four chambers.") == (100, ["missing", "covered", "missing"])
    assert compared("# Heart\n\n```\nbeat(now)\n```\n", "heart") == (33, ["covered", "missing"])


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("The heart has four chambers.", "The heart does not have four chambers."),
        ("The heart has four chambers.", "The heart doesn't have four chambers."),
        ("The heart has four chambers.", "The heart hasn’t got four chambers."),
        ("The heart has four chambers.", "It is not true that the heart has four chambers."),
        ("Plants cannot move.", "Plants can move."),
        ("Whales are not fish.", "Whales are fish."),
        ("The heart never stops.", "The heart stops."),
        ("No enzyme works without water.", "Every enzyme works without water."),
        (
            "The mitochondrion makes energy for the cell and is not found in bacteria of any kind.",
            "The mitochondrion makes energy for the cell and is found in bacteria of any kind.",
        ),
        ("Das Herz schlägt.", "Das Herz schlägt nicht."),
        ("Das Herz hat vier Kammern.", "Das Herz hat keine vier Kammern."),
        ("Das Herz hat vier Kammern.", "Vier Kammern hat das Herz nicht."),
        ("Le cœur a quatre cavités.", "Le cœur n'a pas quatre cavités."),
        ("El corazón tiene cuatro cámaras.", "El corazón no tiene cuatro cámaras."),
        ("Il cuore ha quattro camere.", "Il cuore non ha quattro camere."),
        ("O coração tem quatro câmaras.", "O coração não tem quatro câmaras."),
        ("Het hart heeft vier kamers.", "Het hart heeft niet vier kamers."),
        ("Hjertet har fire kamre.", "Hjertet har ikke fire kamre."),
        ("Hjärtat har fyra rum.", "Hjärtat har inte fyra rum."),
        ("Serce zawsze bije.", "Serce nie bije."),
        ("Сердце имеет четыре камеры.", "Сердце не имеет четыре камеры."),
        ("القلب له أربع غرف", "القلب ليس له أربع غرف"),
        ("東京は日本の首都です。", "東京は日本の首都ではありません。"),
        ("北京是中国的首都。", "北京不是中国的首都。"),
        ("서울은 대한민국의 수도이다.", "서울은 대한민국의 수도가 아니다."),
    ],
)
def test_a_denied_fact_is_contradicted(topic, text):
    assert compared(topic, text) == (0, ["contradicted"])
    assert compared(topic, topic) == (100, ["covered"])
    assert compared(text, text) == (100, ["covered"])


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("The heart has four chambers.", "The heart has four chambers, not three."),
        ("The heart has four chambers.", "The heart has four chambers, not three chambers."),
        ("The heart has four chambers.", "Not the lung but the heart has four chambers."),
        ("Das Herz hat vier Kammern.", "Das Herz hat nicht drei, sondern vier Kammern."),
        ("Whales are not fish.", "Whales aren't fish."),
        ("Veins have valves. Arteries do not have valves.", "Arteries do not have valves. Veins have valves."),
    ],
)
def test_what_denies_something_else_contradicts_nothing(topic, text):
    assert compared(topic, text) == (100, ["covered"])


def test_denying_a_fact_does_not_contradict_another_one_that_was_said_itself():
    topic = "A stack is a list whose last item leaves first.\n\nA queue is a list whose first item leaves first."
    text = "A stack is a list whose last item leaves first. A queue is not a list whose first item leaves first."
    assert compared(topic, text)[1] == ["covered", "contradicted"]


def test_who_says_it_both_ways_contradicts_it():
    assert compared("The heart beats daily.", "The heart beats daily. The heart never beats daily.") == (
        0,
        ["contradicted"],
    )


def test_another_number_is_at_most_part_of_it():
    assert compared("Water boils at 100 degrees.", "Water boils at 90 degrees.") == (70, ["partial"])


def test_all_words_without_their_sentences_are_little():
    topic = "\n\n".join(f"alpha{n} beta{n} gamma{n} delta{n} epsilon{n}" for n in range(100))
    words = topic.split()
    random.Random(1).shuffle(words)

    assert compared(topic, " ".join(topic.split()))[0] == 100
    assert compared(topic, " ".join(words))[0] < 30


_PIECES = "heart not has four lung, but. no\n\n - 5 1.5 # * ` 東京 不 'n ".split(" ")


@given(
    words=st.lists(st.sampled_from(_PIECES), max_size=60),
    more=st.text(max_size=40),
)
def test_any_text_is_wholly_covered_by_itself(words, more):
    topic = " ".join(words) + more
    score, states = compared(topic, topic)

    assert (score, set(states)) == ((100, {"covered"}) if states else (0, set()))
    assert compared(topic, "") == (0, ["missing"] * len(states))


@pytest.mark.parametrize(
    ("statements", "before", "state"),
    [
        (1, 100, "covered"),
        (800, 99, "covered"),
        (800, 100, "missing"),
        (2_000, 49, "covered"),
        (2_000, 50, "missing"),
    ],
)
def test_the_comparisons_are_bounded_whatever_the_texts(statements, before, state):
    """80,000 of all statements of a topic together, but 50 of each one: what comes after that many is not found.

    Each word of the statement that is looked for is in as many others of the student's, so that none is rarer.
    """
    sought, like_it = "alpha beta gamma delta epsilon.", "alpha beta gamma delta zeta."
    others = "\n\n".join(f"other{n} word{n}." for n in range(statements - 1))
    words = ("alpha", "beta", "gamma", "delta")
    distractors = "\n\n".join(f"{word} {word}{n}." for word in words for n in range(before))

    found = compare([("a", "paragraph", sought), ("b", "paragraph", others)], f"{distractors}\n\n{like_it}")

    assert found.blocks[0].state == state
    assert found.is_whole == (statements < 2_000)


# --- Over the API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def topic_id(alice) -> int:
    chapters = [{"title": "c", "topics": [{"title": "t", "explanation": HEART}]}]
    note = notes.create_note(user_id=alice.pk, data={"title": "n", "chapters": chapters})
    return note["chapters"][0]["topics"][0]["id"]


def test_a_recall_is_kept_with_its_evidence(alice, alice_client, send, topic_id):
    text = "It beats 70 times a minute, and the heart has four chambers. Arteries have valves."

    response = send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": text})

    assert response.status_code == 201
    shown = response.json()
    ids = [block.id for block in notes.get_blocks(user_id=alice.pk, topic_id=topic_id).blocks]
    assert [block["block_id"] for block in shown["blocks"]] == ids
    assert [block["state"] for block in shown["blocks"]] == [
        "covered", "covered", "missing", "contradicted", "covered", "missing",
    ]  # fmt: skip
    assert [block["evidence"] for block in shown["blocks"]][2:4] == [None, "Arteries have valves."]
    assert (shown["topic_id"], shown["text"], shown["notice"]) == (topic_id, text, None)
    assert shown["score"] == 30  # 8 of 27 words
    assert response["Location"] == f"{RECALLS}{shown['id']}/"
    detail = alice_client.get(response["Location"])
    assert detail.json() == shown
    assert alice_client.get(response["Location"], HTTP_IF_NONE_MATCH=detail["ETag"]).status_code == 304
    assert alice_client.get(RECALLS).json()["results"] == [
        {name: shown[name] for name in ("id", "topic_id", "score", "created_at")}
    ]


def test_the_whole_topic_scores_100_and_nothing_0(alice_client, send, topic_id):
    scores = [
        send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": text}).json()["score"]
        for text in (HEART, "", "   ")
    ]

    assert scores == [100, 0, 0]


def test_a_topic_without_text_says_so(alice, alice_client, send, topic_id):
    notes.update_topic(user_id=alice.pk, topic_id=topic_id, changes={"explanation": "---\n"})

    shown = send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": "x"}).json()

    assert (shown["score"], shown["blocks"], shown["notice"]) == (0, [], "This topic has no text to recall.")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"text": "x"}, "/topic_id", "required"),
        ({"topic_id": 1}, "/text", "required"),
        ({"topic_id": "1", "text": "x"}, "/topic_id", "invalid"),
        ({"topic_id": True, "text": "x"}, "/topic_id", "invalid"),
        ({"topic_id": 1, "text": None}, "/text", "null"),
        ({"topic_id": 1, "text": 5}, "/text", "invalid"),
        ({"topic_id": 1, "text": "ä" * 10_001}, "/text", "max_length"),
        ({"topic_id": 1, "text": "x", "score": 100}, "/score", "unknown_field"),
    ],
)
def test_what_is_no_recall_is_refused(alice_client, send, body, pointer, code):
    response = send(alice_client, "post", RECALLS, body)

    errors = [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert (response.status_code, errors) == (400, [(pointer, code)])


def test_a_key_makes_one_recall_and_the_oldest_go(alice_client, send, topic_id, monkeypatch):
    monkeypatch.setattr(recall_services, "RECALLS_KEPT", 2)
    body = {"topic_id": topic_id, "text": "x"}
    twice = [send(alice_client, "post", RECALLS, body, Idempotency_Key="1").json()["id"] for _ in range(2)]
    later = [send(alice_client, "post", RECALLS, body).json()["id"] for _ in range(2)]

    assert twice[0] == twice[1]
    assert [recall["id"] for recall in alice_client.get(RECALLS).json()["results"]] == later[::-1]


def test_a_recall_outlives_its_topic(alice, alice_client, send, topic_id):
    made = send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": HEART}).json()
    notes.delete_topic(user_id=alice.pk, topic_id=topic_id)

    assert alice_client.get(f"{RECALLS}{made['id']}/").json() == made
    assert send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": "x"}).status_code == 404


@pytest.mark.parametrize("count", [1, 10, 100])
def test_recalls_cost_the_same_for_any_number_of_blocks(
    alice, alice_client, send, topic_id, count, warm, django_assert_num_queries
):
    text = "\n\n".join(f"The organ number {n} is here." for n in range(count))
    notes.update_topic(user_id=alice.pk, topic_id=topic_id, changes={"explanation": text})
    warm(alice_client)

    with django_assert_num_queries(5):  # the topic; SAVEPOINT, INSERT, DELETE, RELEASE
        made = send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": text}).json()
    with django_assert_num_queries(1):
        alice_client.get(f"{RECALLS}{made['id']}/")
    with django_assert_num_queries(1):
        alice_client.get(RECALLS)
    assert (made["score"], len(made["blocks"])) == (100, count)


def test_strangers_get_the_404_of_nothing(alice_client, charlie_client, send, topic_id):
    made = send(alice_client, "post", RECALLS, {"topic_id": topic_id, "text": "x"}).json()

    for method, path, body in (("get", made["id"], None), ("post", None, topic_id)):
        answers = []
        for one in (path, str(uuid4())) if path else (body, 2**60):
            url = f"{RECALLS}{one}/" if path else RECALLS
            sent = None if path else {"topic_id": one, "text": "x"}
            answers.append(send(charlie_client, method, url, sent, X_Request_ID="1"))
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    assert charlie_client.get(RECALLS).json()["results"] == []
    assert Recall.objects.count() == 1
