"""Decks that others made, as cards."""

from pathlib import Path
from typing import Any

import pytest

from notes.models import Attachment, Note
from study.models import Card, Face
from tests.conftest import client_of
from tests.factories import UserFactory
from tests.files.images import PDF, png
from tests.notes.imports.helpers import outcomes, report_of
from tests.study.anki_decks import BASIC, CLOZE, COUNTRIES, REVERSED, note, package, warnings_of


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def sides(**filters: Any) -> list[tuple[str, str, str]]:
    return list(Card.objects.filter(**filters).order_by("created_at").values_list("kind", "front", "back"))


def test_a_deck_becomes_cards(alice, alice_client, tmp_path):
    deck = package(
        tmp_path,
        [
            note(BASIC, "What is <b>2</b> + 2?", "4 &amp; no more<br>really", tags=["Maths", "maths::adding"]),
            note(REVERSED, "un", "one"),
            note(CLOZE, r"{{c1::Paris}} is in {{c2::France::a country}}, \(x^2\)", "<div>Yes</div><div>indeed</div>"),
        ],
    )

    job = report_of(alice_client, "french.apkg", deck)

    assert (job["status"], outcomes(job)) == ("succeeded", [("french.apkg", "created")])
    assert warnings_of(job) == ["Cards: 3 new, 0 that were here already."]
    assert sides(user=alice) == [
        ("basic", "What is **2** + 2?", "4 & no more\\\nreally"),
        ("reversed", "un", "one"),
        ("cloze", "{{c1::Paris}} is in {{c2::France::a country}}, $x^2$", "Yes\n\nindeed"),
    ]
    assert list(Card.objects.order_by("created_at").values_list("tags", flat=True)) == [
        ["maths", "maths::adding", "course::week 1"],
        ["course::week 1"],
        ["course::week 1"],
    ]
    faces = Face.objects.order_by("card__created_at", "n")
    assert list(faces.values_list("card__kind", "n", "state", "active", "has_siblings")) == [
        ("basic", 1, "new", True, False),
        ("reversed", 1, "new", True, True),
        ("reversed", 2, "new", True, True),
        ("cloze", 1, "new", True, True),
        ("cloze", 2, "new", True, True),
    ]
    assert not Note.objects.exists()
    due = alice_client.get("/api/study/due/").json()
    assert [card["front"][:5] for card in due["results"]] == ["What ", "un", "{{c1:"]


def test_templates_of_ones_own_are_shown_as_anki_shows_them(alice, alice_client, tmp_path):
    notes = [note(COUNTRIES, "France", "Paris", "on the Seine", tags=["eu"]), note(COUNTRIES, "Peru", "Lima", "")]

    report_of(alice_client, "countries.apkg", package(tmp_path, notes, deck="Default"))

    assert sides() == [
        ("basic", "Capital of France?\n\n*on the Seine*", "Paris"),
        ("basic", "Paris lies in?", "France (eu)"),
        ("basic", "Capital of Peru?", "Lima"),
        ("basic", "Lima lies in?", "Peru ()"),
    ]


def test_the_same_deck_again_doubles_nothing(alice, alice_client, tmp_path):
    notes = [note(BASIC, "q", '<img src="p.png">'), note(COUNTRIES, "Peru", "Lima", "")]
    picture = tmp_path / "p.png"
    picture.write_bytes(png())
    deck = package(tmp_path, notes, media=[picture])
    report_of(alice_client, "a.apkg", deck)
    before = list(Card.objects.order_by("pk").values())
    charged = alice_client.get("/api/users/me/").json()

    job = report_of(alice_client, "b.apkg", deck)

    assert outcomes(job) == [("b.apkg", "unchanged")]
    assert warnings_of(job) == ["Cards: 0 new, 3 that were here already."]
    assert list(Card.objects.order_by("pk").values()) == before
    assert (Attachment.objects.count(), Face.objects.count()) == (1, 3)
    assert alice_client.get("/api/users/me/").json() == charged


def test_a_card_that_is_here_keeps_what_it_says(alice_client, tmp_path):
    report_of(alice_client, "a.apkg", package(tmp_path, [note(BASIC, "q", "old", guid="same")]))
    Card.objects.update(back="mine")

    job = report_of(
        alice_client,
        "a.apkg",
        package(tmp_path, [note(BASIC, "q", "new", guid="same"), note(BASIC, "q2", "a", guid="other")]),
    )

    assert outcomes(job) == [("a.apkg", "created")]
    assert sides() == [("basic", "q", "mine"), ("basic", "q2", "a")]


def test_two_students_have_cards_of_their_own(alice, alice_client, charlie, charlie_client, tmp_path):
    deck = package(tmp_path, [note(BASIC, "q", "a")])

    assert outcomes(report_of(alice_client, "a.apkg", deck)) == [("a.apkg", "created")]
    assert outcomes(report_of(charlie_client, "a.apkg", deck)) == [("a.apkg", "created")]

    assert (Card.objects.filter(user=alice).count(), Card.objects.filter(user=charlie).count()) == (1, 1)


def test_a_dry_run_writes_nothing(alice_client, tmp_path, files):
    picture = tmp_path / "p.png"
    picture.write_bytes(png())
    deck = package(tmp_path, [note(BASIC, '<img src="p.png">', "a")], media=[picture])

    job = report_of(alice_client, "a.apkg", deck, dry_run="true")

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.apkg", "created")])
    assert warnings_of(job) == ["Cards: 1 new, 0 that were here already."]
    assert not Card.objects.exists()
    assert not Attachment.objects.exists()
    assert not [path for path in files.glob("attachments/**/*") if path.is_file()]


# --- Media and HTML ------------------------------------------------------------------


def test_pictures_become_attachments_of_the_cards(alice, alice_client, charlie_client, tmp_path):
    for name, content in {"a b.png": png(), "scan.pdf": PDF, "x.svg": b"<svg onload='x'/>", "s.mp3": b"ID3"}.items():
        (tmp_path / name).write_bytes(content)
    deck = package(
        tmp_path,
        [
            note(BASIC, 'See <img src="a%20b.png" onerror="x()">', '<img src="x.svg"><img src="no.png">[sound:s.mp3]!'),
            note(BASIC, '<img src="a b.png" alt="the [map]"> again', '<img src="https://example.org/t.gif">'),
        ],
        media=sorted(tmp_path.glob("*.*[gf3]")),
    )

    job = report_of(alice_client, "a.apkg", deck)

    attachment = Attachment.objects.get()
    assert (attachment.user_id, attachment.note_id, attachment.name) == (alice.pk, None, "a b.png")
    assert sides() == [
        ("basic", f"See ![a b.png]({attachment.path})", "!"),
        ("basic", f"![the \\[map\\]]({attachment.path}) again", ""),
    ]
    assert warnings_of(job) == [
        "Cards: 2 new, 0 that were here already.",
        "Sounds left out: 1.",
        "Pictures left out, missing or of an unsupported type: 3.",
    ]
    shown = alice_client.get(attachment.path)
    assert (shown.status_code, shown["Content-Type"]) == (200, "image/png")
    assert b"".join(shown.streaming_content).startswith(b"\x89PNG")
    assert charlie_client.get(attachment.path).status_code == 404


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("=1+1", "=1+1"),
        ("<script>alert(1)</script>safe", "safe"),
        ('<a href="javascript:alert(1)">x</a>', "x"),
        ("<style>*{}</style><span style='color:red' onclick=x>red</span>", "red"),
        ("&lt;script&gt; is a tag", "<script> is a tag"),
        ("<svg><script>1</script></svg><iframe src=x>y</iframe>z", "z"),
        ("# no heading, *no* emphasis, $5", "\\# no heading, \\*no\\* emphasis, \\$5"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        (r"\[\frac{a_1}{b*c}\] and [$]x &lt; y[/$]", r"$$\frac{a_1}{b*c}$$ and $x < y$"),
        ("<b>" * 60 + "deep", "deep"),
        ("a\x00b", "ab"),
        ("<pre>x = 1\n  y_z</pre>", "```\nx = 1\n  y_z\n```"),
    ],
)
def test_html_becomes_markdown(alice_client, tmp_path, html, markdown):
    report_of(alice_client, "a.apkg", package(tmp_path, [note(BASIC, f"q {html}", html)]))

    assert Card.objects.values_list("back", flat=True).get() == markdown


def test_what_cannot_be_a_card_is_told(alice_client, tmp_path):
    deck = package(
        tmp_path,
        [
            note(BASIC, "fits", "a"),
            note(BASIC, "long", "x" * 20_001),
            note(BASIC, "<div> </div>", "nothing is asked"),
            note(CLOZE, "{{c1::image-occlusion:rect:left=.1}}", "<img src=x.png>"),
            note(CLOZE, "{{c501::too far}}", ""),
        ],
    )

    job = report_of(alice_client, "a.apkg", deck)

    assert sides() == [("basic", "fits", "a")]
    assert warnings_of(job) == [
        "Cards: 1 new, 0 that were here already.",
        "Cards left out (too long): 1.",
        "Cards left out (nothing to show): 1.",
        "Cards left out (image occlusion): 1.",
        "Cards left out (unsupported deletions): 1.",
    ]


@pytest.mark.parametrize("count", [1, 40])
def test_an_import_costs_the_same_for_any_number_of_cards(db, tmp_path, count, django_assert_max_num_queries):
    client = client_of(UserFactory())
    deck = package(tmp_path, [note(BASIC, f"q{n}", "a", guid=f"g{n}") for n in range(count)])

    with django_assert_max_num_queries(48):
        report_of(client, "a.apkg", deck)

    assert Card.objects.count() == count
