"""Links between notes find their note, keep it when it is renamed, and are listed from both ends."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notes import services
from notes.models import Note, NoteLink
from notes.title_order import key_without_case, title_key
from notes.wiki_links import LINKS_MAX, NOTE_LINKS_MAX, links_in
from tests.factories import NoteFactory


@pytest.fixture
def write(alice):
    """Make a note with one topic that says this; return the ids of both."""

    def write(title, explanation="", user=alice):
        topics = [{"title": "t", "explanation": explanation}]
        made = services.create_note(
            user_id=user.pk, data={"title": title, "chapters": [{"title": "c", "topics": topics}]}
        )
        return made["id"], made["chapters"][0]["topics"][0]["id"]

    return write


def backlinks(client, note_id):
    response = client.get(f"/api/notes/{note_id}/backlinks/")
    assert response.status_code == 200, response.content
    return [(link["title"], link["topic_id"]) for link in response.json()["results"]]


def broken(client):
    return [link["target"] for link in client.get("/api/links/broken/").json()["results"]]


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("see [[Loops]] and [[Loops#While]], [[ Sets |sets]]", ["Loops", "Loops#While", "Sets"]),
        ("[[Loops]] [[Loops]]", ["Loops"]),
        ("`[[code]]` and ``[[`code`]]``", []),
        ("```\n[[code]]\n```\n[[text]]", ["text"]),
        ("~~~\n[[code]]", []),
        ("`a ``b`` [[code]]` [[text]] `[[open]]", ["text", "open"]),
        ("[[]] [[#x]] [[ ]] [[a\nb]] [[a]b]]", []),
        ("[[[Loops]]]", ["Loops"]),
    ],
)
def test_links_are_read_from_text_but_not_from_code(text, targets):
    assert [link.target for link in links_in(text)] == targets


@pytest.mark.parametrize("text", ["[[" * 50_000, "`" * 100_000, "` `` " * 20_000, "```\n" * 25_000, "[[a" * 33_000])
def test_hostile_text_has_no_links(text):
    assert links_in(text) == []


@pytest.mark.parametrize(
    "title",
    ["Loops", "note 007 of 10", "a\tb\x1cc  d!", "Émile Zola", "ß \u0130stanbul ٣", "x" * 2_000, "-", "C++ & \x07"],
)
def test_the_key_of_a_link_is_what_the_key_of_its_title_begins_with(title):
    letters, accents, _ = title_key(title).split("\x01")

    assert key_without_case(title) == f"{letters}\x01{accents}\x01"


def test_a_link_that_stands_there_often_is_read_once():
    assert [link.target for link in links_in("[[a]] [[b]] " * 1000)] == ["a", "b"]


def test_of_a_topics_links_no_more_are_read_than_are_kept():
    text = "".join(f"[[link {number}]] " for number in range(2 * LINKS_MAX))

    assert [link.target for link in links_in(text)] == [f"link {number}" for number in range(LINKS_MAX)]


@pytest.mark.django_db
def test_of_a_new_notes_links_no_more_are_kept_than_a_note_may_have(alice, alice_client):
    text = "".join(f"[[link {number}]] " for number in range(LINKS_MAX))
    topics = [{"title": "Links", "explanation": text} for _ in range(NOTE_LINKS_MAX // LINKS_MAX + 1)]

    alice_client.post("/api/notes/", {"title": "Many", "chapters": [{"title": "All", "topics": topics}]}, format="json")

    assert NoteLink.objects.filter(user=alice).count() == NOTE_LINKS_MAX


def test_a_link_is_listed_from_both_ends(alice_client, write):
    target, _ = write("Loops")
    source, topic = write("Python", "See [[LOOPS]] and [[Sets#Union]].")

    (link,) = alice_client.get(f"/api/notes/{target}/backlinks/").json()["results"]

    (block,) = alice_client.get(f"/api/topics/{topic}/blocks/").json()["results"]
    assert link == {"note_id": source, "title": "Python", "topic_id": topic, "block_id": block["id"]}
    assert alice_client.get("/api/links/broken/").json() == {
        "next": None,
        "results": [{"note_id": source, "topic_id": topic, "target": "Sets#Union"}],
    }


def test_a_broken_link_is_mended_by_a_note_of_its_title(alice_client, write):
    write("Python", "[[Loops]]")
    assert broken(alice_client) == ["Loops"]

    target, _ = write("loops")

    assert broken(alice_client) == []
    assert [title for title, _ in backlinks(alice_client, target)] == ["Python"]


def test_a_link_keeps_its_note_when_that_is_renamed(alice_client, write, send):
    target, _ = write("Loops")
    _, topic = write("Python", "[[Loops]]")

    send(alice_client, "patch", f"/api/notes/{target}/", {"title": "Iteration"})
    other, _ = write("Loops")

    assert backlinks(alice_client, target) == [("Python", topic)]
    assert backlinks(alice_client, other) == []
    assert broken(alice_client) == []
    assert alice_client.get(f"/api/topics/{topic}/").json()["explanation"] == "[[Loops]]"


def test_an_edit_beside_a_link_leaves_it_its_note(alice_client, write, send):
    target, _ = write("Loops")
    _, topic = write("Python", "[[Loops]]")
    send(alice_client, "patch", f"/api/notes/{target}/", {"title": "Iteration"})

    send(alice_client, "patch", f"/api/topics/{topic}/", {"explanation": "Now [[Loops]] and [[Sets]]"})

    assert backlinks(alice_client, target) == [("Python", topic)]
    assert broken(alice_client) == ["Sets"]


def test_an_edit_removes_a_link_that_an_earlier_release_read_where_there_is_code_today(
    alice, alice_client, write, send
):
    target, _ = write("Loops")
    _, topic = write("Python", "`[[Loops]]`")
    NoteLink.objects.create(user=alice, topic_id=topic, target="Loops", key=key_without_case("Loops"))

    send(alice_client, "patch", f"/api/topics/{topic}/", {"explanation": "Nothing"})

    assert backlinks(alice_client, target) == []


def test_of_two_notes_of_one_title_the_one_changed_last_is_meant(alice_client, write, send):
    first, _ = write("Loops")
    second, _ = write("Loops")
    _, topic = write("Python", "[[Loops]]")
    assert (backlinks(alice_client, first), backlinks(alice_client, second)) == ([], [("Python", topic)])

    send(alice_client, "patch", f"/api/notes/{first}/", {"status": "published"})

    assert (backlinks(alice_client, first), backlinks(alice_client, second)) == ([("Python", topic)], [])


def test_a_link_that_is_taken_out_is_gone(alice_client, write, send):
    target, _ = write("Loops")
    _, topic = write("Python", "[[Loops]] [[Sets]]")

    send(alice_client, "patch", f"/api/topics/{topic}/", {"explanation": "nothing"})

    assert (backlinks(alice_client, target), broken(alice_client)) == ([], [])
    assert not NoteLink.objects.exists()


def test_links_to_and_from_the_trash_are_broken_and_unlisted(alice_client, write, send):
    target, _ = write("Loops")
    source, topic = write("Python", "[[Loops]]")

    send(alice_client, "delete", f"/api/notes/{target}/")
    assert broken(alice_client) == ["Loops"]
    send(alice_client, "post", f"/api/notes/{target}/restore/")
    assert backlinks(alice_client, target) == [("Python", topic)]
    send(alice_client, "delete", f"/api/notes/{source}/")
    assert backlinks(alice_client, target) == []


def test_a_restored_version_has_its_links(alice_client, write, send):
    target, _ = write("Loops")
    source, topic = write("Python", "[[Loops]]")
    send(alice_client, "patch", f"/api/topics/{topic}/", {"explanation": "[[Sets]]"})

    send(alice_client, "post", f"/api/notes/{source}/versions/1/restore/")

    assert backlinks(alice_client, target) == [("Python", topic)]
    assert broken(alice_client) == []


def test_links_of_a_restored_version_are_compared_by_a_join(alice, write):
    note, topic = write("Python", "[[Loops]]")
    services.update_topic(user_id=alice.pk, topic_id=topic, changes={"explanation": "[[Sets]]"})

    with CaptureQueriesContext(connection) as queries:
        services.restore_version(user_id=alice.pk, note_id=note, version=1)

    (delete,) = [each["sql"] for each in queries if "DELETE FROM notes_notelink" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {delete}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Anti Join" in plan
    assert "SubPlan" not in plan  # which would compare each link with each other, if there are too many to be hashed


def test_a_link_never_leads_to_a_strangers_note(alice_client, charlie, charlie_client, write):
    theirs, _ = write("Loops", user=charlie)
    write("Python", "[[Loops]]")

    assert broken(alice_client) == ["Loops"]
    assert backlinks(charlie_client, theirs) == []
    assert alice_client.get(f"/api/notes/{theirs}/backlinks/").status_code == 404
    assert alice_client.get(f"/api/notes/{theirs}/outline/").status_code == 404
    assert broken(charlie_client) == []


@pytest.mark.parametrize("count", [1, 10, 100])
def test_lists_of_links_cost_the_same_for_any_number(
    alice, alice_client, write, warm, count, django_assert_num_queries
):
    target, _ = write("Loops")
    for number in range(count):
        write(f"n{number}", "[[Loops]] [[Sets]]")
    warm(alice_client)

    with django_assert_num_queries(3):  # the note, is there a newer one of its title, the page
        found = alice_client.get(f"/api/notes/{target}/backlinks/?page_size=100").json()
    with django_assert_num_queries(1):
        missing = alice_client.get("/api/links/broken/?page_size=100").json()

    assert (len(found["results"]), len(missing["results"])) == (count, count)


def test_pages_of_links_follow_each_other(alice_client, write):
    write("Python", "".join(f"[[n{number}]]" for number in range(5)))

    first = alice_client.get("/api/links/broken/?page_size=3").json()
    second = alice_client.get(first["next"]).json()

    assert [link["target"] for link in first["results"] + second["results"]] == [f"n{number}" for number in range(5)]
    assert second["next"] is None


def test_the_outline_nests_headings_under_their_topics(alice_client, write):
    text = "# One\n### Deep #\n## Two\n```\n# code\n```\n#hashtag\n# Three\n"
    note, topic = write("Python", text)

    (chapter,) = alice_client.get(f"/api/notes/{note}/outline/").json()

    (shown,) = chapter["children"]
    assert (chapter["type"], chapter["level"], shown["type"], shown["id"], shown["level"]) == (
        "chapter", 1, "topic", topic, 2,
    )  # fmt: skip

    def flat(entries):
        return [(entry["level"], entry["title"], flat(entry["children"])) for entry in entries]

    assert flat(shown["children"]) == [(1, "One", [(3, "Deep", []), (2, "Two", [])]), (1, "Three", [])]
    assert {entry["type"] for entry in shown["children"]} == {"heading"}
    assert shown["children"][0]["id"] is None


def test_a_note_is_made_of_a_template(alice_client, send):
    templates = alice_client.get("/api/notes/templates/").json()
    assert [template["id"] for template in templates] == ["cornell", "lab-report", "essay"]

    for template in templates:
        made = send(alice_client, "post", "/api/notes/", {"template": template["id"]})
        assert made.status_code == 201, made.content
        assert made.json()["title"] == template["title"]
        assert made.json()["topic_count"] >= 3
    named = send(alice_client, "post", "/api/notes/", {"template": "essay", "title": "On loops", "tags": ["a"]}).json()
    assert (named["title"], named["tags"]) == ("On loops", ["a"])
    assert named["chapters"][0]["topics"][1]["title"] == "Thesis"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, ("/title", "required")),
        ({"template": "none"}, ("/template", "invalid_choice")),
        ({"template": "essay", "chapters": [{"title": "c"}]}, ("/chapters", "invalid")),
        ({"template": "essay", "title": " "}, ("/title", "blank")),
    ],
)
def test_what_is_no_template_is_refused(alice_client, send, body, error):
    response = send(alice_client, "post", "/api/notes/", body)

    assert response.status_code == 400
    assert [(found["pointer"], found["code"]) for found in response.json()["errors"]] == [error]
    assert not Note.objects.exists()


def test_a_write_without_links_costs_what_it_cost(alice, alice_client, send):
    """Links cost statements only where there are some."""
    note = NoteFactory(user=alice)
    assert send(alice_client, "patch", f"/api/notes/{note.pk}/", {"status": "published"}).status_code == 200
    assert not NoteLink.objects.exists()
