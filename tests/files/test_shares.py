"""Sharing a note: links, pages, passwords."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from notes import services
from notes.models import Share
from tests.database_faults import without_column
from tests.factories import NoteFactory, TopicFactory
from tests.files.images import PDF
from tests.files.sharing import make_note, path_of, share, unlock
from tests.files.uploading import PNG

CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@pytest.fixture
def note(alice, files):
    return make_note(alice)


def test_a_link_is_made_listed_and_taken_back(alice_client, note, visitor):
    shared = share(alice_client, note)

    assert shared["url"] == f"http://testserver/s/{shared['slug']}/"
    assert re.fullmatch(r"[A-Za-z0-9_-]{24}", shared["slug"])
    assert (shared["views"], shared["has_password"], shared["expires_at"]) == (0, False, None)
    assert alice_client.get(f"/api/notes/{note.pk}/shares/").json()["results"] == [shared]
    assert visitor.get(path_of(shared)).status_code == 200
    assert alice_client.delete(f"/api/notes/{note.pk}/shares/{shared['id']}/").status_code == 204
    assert visitor.get(path_of(shared)).status_code == 404
    assert not Share.objects.exists()


def test_the_link_names_the_address_that_people_use(alice_client, note, settings):
    settings.PUBLIC_URL = "https://notes.example.com"

    assert share(alice_client, note)["url"].startswith("https://notes.example.com/s/")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"password": ""}, "/password", "blank"),
        ({"password": "x" * 129}, "/password", "max_length"),
        ({"password": 7}, "/password", "invalid"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "in_the_past"),
        ({"expires_at": "soon"}, "/expires_at", "invalid"),
        ({"slug": "mine"}, "/slug", "unknown_field"),
    ],
)
def test_a_wrong_link_says_what_is_wrong(alice_client, note, body, pointer, code):
    response = alice_client.post(f"/api/notes/{note.pk}/shares/", body, format="json")

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]


def test_a_stranger_shares_lists_and_deletes_nothing(alice_client, charlie_client, note):
    shared = share(alice_client, note)
    path = f"/api/notes/{note.pk}/shares/"

    assert charlie_client.post(path, {}, format="json").status_code == 404
    assert charlie_client.get(path).status_code == 404
    assert charlie_client.delete(f"{path}{shared['id']}/").status_code == 404
    assert Share.objects.count() == 1


def test_a_note_has_a_bounded_number_of_links(alice_client, note, monkeypatch):
    monkeypatch.setattr(services.shares, "SHARES_MAX", 1)
    share(alice_client, note)

    response = alice_client.post(f"/api/notes/{note.pk}/shares/", {}, format="json")

    assert (response.status_code, response.json()["code"]) == (409, "too_many_shares")


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_note_and_escapes_everything(alice_client, note, visitor):
    html = visitor.get(path_of(share(alice_client, note))).content.decode()

    for shown in (
        "<title>Loops &lt;1&gt;</title>",
        '<h1 dir="auto">Loops &lt;1&gt;</h1>',
        '<li dir="auto">py&amp;thon</li>',
        "For &amp; while",
        "A <strong>loop</strong> &lt;script&gt;alert(1)&lt;/script&gt;",
        "if a &lt; b:",
        'href="https://docs.python.org/?a=1&amp;b=2"',
        "Docs &lt;i&gt;",
    ):
        assert shown in html
    assert "<script" not in html
    assert "style=" not in html
    assert "alice" not in html.lower()


def test_the_page_is_strict_and_found_by_nobody_else(alice_client, note, visitor):
    response = visitor.get(path_of(share(alice_client, note)))

    assert response["Content-Security-Policy"] == CSP
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Robots-Tag"] == "noindex, nofollow"
    assert response["Cache-Control"] == "no-cache"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert not response.cookies


def test_the_page_is_revalidated_until_the_note_changes(alice_client, note, visitor):
    path = path_of(share(alice_client, note))
    etag = visitor.get(path)["ETag"]

    same = visitor.get(path, headers={"If-None-Match": f"W/{etag}"})
    alice_client.patch(f"/api/notes/{note.pk}/", {"title": "New"}, format="json")
    other = visitor.get(path, headers={"If-None-Match": etag})

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert (other.status_code, "New" in other.content.decode()) == (200, True)


def test_the_page_is_another_one_without_an_image_that_was_deleted(alice_client, note, visitor):
    photo = services.add_attachment(user_id=note.user_id, note_id=note.pk, name="a.png", content=PNG)
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![p]({photo.path})"
    topic.save()
    path = path_of(share(alice_client, note))
    etag = visitor.get(path)["ETag"]

    services.delete_attachment(user_id=note.user_id, attachment_id=photo.pk)
    answer = visitor.get(path, headers={"If-None-Match": etag})

    assert (answer.status_code, f"files/{photo.pk}/" in answer.content.decode()) == (200, False)


def test_images_of_the_note_are_read_below_the_link(alice_client, note, visitor):
    photo = services.add_attachment(user_id=note.user_id, note_id=note.pk, name="a.png", content=PNG)
    paper = services.add_attachment(user_id=note.user_id, note_id=note.pk, name="a.pdf", content=PDF)
    other = services.add_attachment(
        user_id=note.user_id, note_id=NoteFactory(user=note.user).pk, name="b.png", content=PNG
    )
    topic = note.chapters.get().topics.get()
    topic.explanation = f"![p]({photo.path}) ![q]({paper.path}) ![o]({other.path})"
    topic.save()
    path = path_of(share(alice_client, note))

    html = visitor.get(path).content.decode()

    assert f'<img src="{path}files/{photo.pk}/" alt="p">' in html
    assert f'<a href="{path}files/{paper.pk}/" rel="nofollow noopener noreferrer">q</a>' in html
    assert str(other.pk) not in html
    answer = visitor.get(f"{path}files/{photo.pk}/")
    assert (answer.getvalue(), answer["Content-Type"]) == (PNG, "image/png")
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["Cache-Control"] == "no-cache"
    assert visitor.head(f"{path}files/{paper.pk}/")["Content-Disposition"] == 'attachment; filename="a.pdf"'
    assert visitor.get(f"{path}files/{other.pk}/").status_code == 404


def test_everything_that_is_not_there_is_one_and_the_same_page(alice, alice_client, note, visitor):
    photo = services.add_attachment(user_id=note.user_id, note_id=note.pk, name="a.png", content=PNG)
    expired = share(alice_client, note, expires_at=(timezone.now() + timedelta(hours=1)).isoformat())
    revoked = share(alice_client, note)
    alice_client.delete(f"/api/notes/{note.pk}/shares/{revoked['id']}/")
    trashed_note = NoteFactory(user=alice)
    trashed = share(alice_client, trashed_note)
    alice_client.delete(f"/api/notes/{trashed_note.pk}/")
    locked = share(alice_client, note, password="secret")

    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        Share.objects.filter(pk=expired["id"]).update(expires_at=timezone.now() - timedelta(days=1))
        missing = ["/s/nothing/", *map(path_of, (expired, revoked, trashed)), "/s/", "/s/a/b/", "/s/no-slash"]
        missing += [f"{path_of(revoked)}files/{photo.pk}/", f"{path_of(locked)}files/{photo.pk}/"]
        missing += [f"{path_of(locked)}files/{uuid4()}/"]
        pages = [visitor.get(path) for path in missing]

    assert {page.status_code for page in pages} == {404}
    assert len({page.content for page in pages}) == 1
    assert "Not found" in pages[0].content.decode()
    for page in pages:
        assert page["Content-Security-Policy"] == CSP
        assert page["Cache-Control"] == "no-store"
        assert page["X-Robots-Tag"] == "noindex, nofollow"


def test_a_link_ends_with_its_owner(alice, alice_client, note, visitor):
    path = path_of(share(alice_client, note))
    alice.is_active = False
    alice.save()

    assert visitor.get(path).status_code == 404


def test_a_restored_note_is_shared_again_and_a_revoked_link_is_not(alice_client, note, visitor):
    kept, revoked = share(alice_client, note), share(alice_client, note)
    alice_client.delete(f"/api/notes/{note.pk}/shares/{revoked['id']}/")
    alice_client.delete(f"/api/notes/{note.pk}/")
    assert visitor.get(path_of(kept)).status_code == 404
    alice_client.post(f"/api/notes/{note.pk}/restore/")

    assert [visitor.get(path_of(it)).status_code for it in (kept, revoked)] == [200, 404]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("OPTIONS", "/s/nothing/", {}, 405),
        ("PUT", "/s/nothing/", {}, 403),
        ("POST", "/s/nothing/", {}, 403),  # without the form's token
        ("POST", "/s/nothing/files/00000000-0000-4000-8000-000000000001/", {}, 403),
        ("GET", "/s/nothing/", {"Host": "evil.example.com"}, 400),
        ("POST", "/s/nothing/", {"Content-Length": "20000"}, 413),
        ("POST", "/s/nothing/", {"Content-Length": "20000000"}, 413),
    ],
)
def test_every_status_is_a_page(db, visitor, method, path, headers, status):
    extra = {"CONTENT_LENGTH": headers.pop("Content-Length")} if "Content-Length" in headers else {}
    response = visitor.generic(method, path, b"x", headers=headers, **extra)

    assert response.status_code == status
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert response["Content-Security-Policy"] == CSP
    assert "<h1>" in response.content.decode()


@pytest.mark.django_db(transaction=True)
def test_what_goes_wrong_here_is_a_page_too(visitor):
    visitor.raise_request_exception = False

    with without_column("notes_share", "slug"):
        response = visitor.get("/s/nothing/")

    assert (response.status_code, response["Content-Security-Policy"]) == (500, CSP)
    assert "Internal Server Error" in response.content.decode()


def test_pages_count_by_address_against_a_limit_of_their_own(alice_client, note, visitor, settings):
    rest = settings.REST_FRAMEWORK
    assert rest["DEFAULT_THROTTLE_RATES"]["shares"] == "120/min"
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "shares": "1/min"}}
    path = path_of(share(alice_client, note))
    assert visitor.get(path).status_code == 200

    refused = visitor.get(path)
    other = visitor.get(path, REMOTE_ADDR="192.0.2.7")

    assert (refused.status_code, refused["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert other.status_code == 200


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_page_costs_the_same_for_any_number_of_topics(alice_client, note, visitor, count, django_assert_num_queries):
    TopicFactory.create_batch(count, chapter=note.chapters.get())
    path = path_of(share(alice_client, note))

    with django_assert_num_queries(5):  # the share, the note, chapters, topics, attachments
        assert visitor.get(path).status_code == 200
    etag = visitor.get(path)["ETag"]
    with django_assert_num_queries(1):
        assert visitor.get(path, headers={"If-None-Match": etag}).status_code == 304


# --- Passwords --------------------------------------------------------------------------------------------------------


def test_a_password_is_asked_once_and_remembered_for_this_link(alice_client, note, visitor):
    path = path_of(share(alice_client, note, password="open sesame"))
    other = path_of(share(alice_client, note, password="open sesame"))

    asked = visitor.get(path)
    answer = unlock(visitor, path, "open sesame")
    page = visitor.get(path)

    assert (asked.status_code, "Loops" in asked.content.decode()) == (200, False)
    assert (answer.status_code, answer["Location"]) == (303, path)
    cookie = answer.cookies["share"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (path, True, "Lax")
    assert "Loops" in page.content.decode()
    assert page["Cache-Control"] == asked["Cache-Control"] == "private, no-store"
    assert "Loops" not in visitor.get(other).content.decode()
    assert Share.objects.first().password.startswith("argon2$argon2id$")


@pytest.mark.parametrize("password", ["wrong", "", None, "OPEN SESAME"])
def test_a_wrong_password_is_a_403_with_the_form(alice_client, note, visitor, password):
    path = path_of(share(alice_client, note, password="open sesame"))

    answer = unlock(visitor, path, password)

    assert answer.status_code == 403
    assert "This password is wrong." in answer.content.decode()
    assert 'name="password"' in answer.content.decode()
    assert "share" not in answer.cookies


def test_the_form_is_protected_against_forgery(alice_client, note, visitor):
    path = path_of(share(alice_client, note, password="open sesame"))

    answer = visitor.post(path, {"password": "open sesame"})

    assert (answer.status_code, answer["Content-Security-Policy"]) == (403, CSP)
    assert "share" not in answer.cookies


def test_a_cookie_of_another_link_or_password_opens_nothing(alice_client, note, visitor):
    first, second = (share(alice_client, note, password="same") for _ in range(2))
    unlock(visitor, path_of(first), "same")
    value = visitor.cookies["share"].value

    stolen = Client(headers={"Cookie": f"share={value}"}).get(path_of(second))
    changed = Share.objects.get(pk=first["id"])
    changed.password = Share.objects.get(pk=second["id"]).password
    changed.save()
    after = Client(headers={"Cookie": f"share={value}"}).get(path_of(first))

    assert "Loops" not in stolen.content.decode() + after.content.decode()


def test_the_cookie_ends_with_the_link(alice_client, note, visitor):
    ends = timezone.now() + timedelta(hours=1)
    path = path_of(share(alice_client, note, password="same", expires_at=ends.isoformat()))

    age = unlock(visitor, path, "same").cookies["share"]["max-age"]

    assert 3500 < age <= 3600


def test_guessing_is_slowed_down_as_a_login_is(alice_client, note, visitor):
    path = path_of(share(alice_client, note, password="open sesame"))

    statuses = [unlock(visitor, path, "wrong").status_code for _ in range(11)]
    right = unlock(visitor, path, "open sesame")

    assert statuses == [403] * 10 + [429]
    assert (right.status_code, right["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert int(right["Retry-After"]) >= 1
