"""Nobody reaches the notes of others, or learns whether they exist."""

import pytest

REQUESTS = [
    ("get", "/api/notes/{note}/", None),
    ("patch", "/api/notes/{note}/", {"title": "mine"}),
    ("put", "/api/notes/{note}/", {"title": "mine"}),
    ("delete", "/api/notes/{note}/", None),
    ("post", "/api/notes/{note}/restore/", None),
    ("get", "/api/notes/{note}/versions/", None),
    ("get", "/api/notes/{note}/versions/{version}/", None),
    ("post", "/api/notes/{note}/versions/{version}/restore/", None),
    ("get", "/api/chapters/?note={note}", None),
    ("post", "/api/chapters/", {"note": "{note}", "title": "mine"}),
    ("get", "/api/chapters/{chapter}/", None),
    ("patch", "/api/chapters/{chapter}/", {"title": "mine"}),
    ("put", "/api/chapters/{chapter}/", {"title": "mine"}),
    ("delete", "/api/chapters/{chapter}/", None),
    ("post", "/api/chapters/{chapter}/move/", {"order": 0}),
    ("get", "/api/topics/?chapter={chapter}", None),
    ("post", "/api/topics/", {"chapter": "{chapter}", "title": "mine"}),
    ("get", "/api/topics/{topic}/", None),
    ("patch", "/api/topics/{topic}/", {"title": "mine"}),
    ("put", "/api/topics/{topic}/", {"title": "mine"}),
    ("delete", "/api/topics/{topic}/", None),
    ("post", "/api/topics/{topic}/move/", {"order": 0}),
    ("get", "/api/topics/{topic}/blocks/", None),
    ("get", "/api/notes/{note}/versions/{version}/?against=current", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_stranger_gets_the_answer_of_a_thing_that_does_not_exist(
    alice, charlie_client, make_note, send, method, path, body
):
    note = make_note(alice, 1)
    chapter = note.chapters.get()
    hers = {"note": note.pk, "chapter": chapter.pk, "topic": chapter.topics.get().pk, "version": 1}
    missing = dict.fromkeys(hers, 2**62)
    note.versions.create(version=1, reason="edit", snapshot={})

    def ask(ids):
        named = body and {name: ids[name] if value == f"{{{name}}}" else value for name, value in body.items()}
        return send(charlie_client, method, path.format(**ids), named, X_Request_ID="same", If_Match="*")

    answer, expected = ask(hers), ask(missing)
    assert answer.status_code == 404
    assert answer.content == expected.content
    assert dict(answer.headers) == {**expected.headers, **{
        name: answer[name] for name in ("RateLimit", "RateLimit-Remaining", "RateLimit-Reset") if name in answer
    }}  # fmt: skip
    note.refresh_from_db()
    assert (note.version, note.deleted_at) == (1, None)


def test_a_stranger_lists_only_his_own(alice, charlie, charlie_client, make_note):
    make_note(alice, 1, tags=["hers"])
    his = make_note(charlie, tags=["his"])

    assert [row["id"] for row in charlie_client.get("/api/notes/").json()["results"]] == [his.pk]
    assert charlie_client.get("/api/tags/").json() == [{"tag": "his", "count": 1}]
    assert charlie_client.get("/api/search/?q=text").json() == {"results": [], "capped": False}


@pytest.mark.parametrize("pk", ["abc", "1.5", "-1", "0", str(2**63), "9" * 19, "9" * 5000, "\u0661"])
@pytest.mark.parametrize("resource", ["notes", "chapters", "topics"])
def test_what_is_no_id_is_not_found(alice_client, resource, pk):
    response = alice_client.get(f"/api/{resource}/{pk}/")

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path", ["/api/notes/", "/api/notes/1/", "/api/chapters/?note=1", "/api/tags/", "/api/search/"]
)
def test_notes_need_a_token(client, db, path):
    assert client.get(path).status_code == 401
