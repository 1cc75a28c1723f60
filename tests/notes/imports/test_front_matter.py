"""Front matter: what of it a note takes, and what is kept in the text and told."""

import pytest
from django.utils import timezone

from notes.models import Note, Topic
from tests.notes.imports.helpers import contents, outcomes, report_of, zipped


@pytest.mark.parametrize(
    ("line", "year"),
    [
        ("created: 2021-05-06 10:11:12Z", 2021),
        ("date: 2020-01-02", 2020),
        ("created: 9999-12-31T23:59:59-12:00", timezone.now().year),
        ("created: soon", timezone.now().year),
    ],
)
def test_a_note_keeps_the_time_at_which_it_was_written(alice_client, line, year):
    report_of(alice_client, "a.md", f"---\n{line}\n---\n\ntext".encode())

    note = Note.objects.get()
    assert note.created_at.year == year
    assert (line in contents(note)[0][1][0][1]) == (year > 2021)


@pytest.mark.parametrize(
    "front",
    [
        'title: "\\UFFFFFFFF"',
        'title: "\\uD800"',
        'tags: ["\\0"]',
        '? "\\uDFFF"\n: x',
        "%YAML 1." + "9" * 5000,
    ],
)
def test_front_matter_that_names_no_character_is_text(alice_client, front):
    job = report_of(alice_client, "a.zip", zipped({"a.md": f"---\n{front}\n---\n\nmine", "b.md": "# B"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    note = Note.objects.get(pk=job["report"]["files"][0]["note_id"])
    text = f"{note.title} {contents(note)}".replace("\\\\", "\\")
    assert front.splitlines()[0] in text
    assert "mine" in text


OWN = (
    "---\nnoteassist: 1\n{front}\n---\n\n# A\n\n"
    "<!-- noteassist:chapter 1 -->\n## C\n\n<!-- noteassist:topic 1 -->\n### T\n"
)


@pytest.mark.parametrize("file", [OWN, "---\n{front}\n---\n\n# A\n\n## C\n\n### T\n"], ids=["export", "foreign"])
@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("title: [x, y]", "these fields are not valid in a note: title"),
        ("tags: {a: b}", "these fields are not valid in a note: tags"),
        ("tags: [a, [b]]", "these fields are not valid in a note: tags"),
        ("created_at: yesterday", "these fields are not valid in a note: created_at"),
        ("updated_at: [now]", "these fields are not valid in a note: updated_at"),
        ("status: [draft]", "these fields are not valid in a note: status"),
        ("aliases: [b, c]", "a note has no aliases"),
    ],
)
def test_front_matter_that_a_note_cannot_take_is_kept_and_told(alice_client, file, front, told):
    job = report_of(alice_client, "a.zip", zipped({"a.md": file.format(front=front), "b.md": "# B"}))
    again = report_of(alice_client, "a.zip", zipped({"a.md": file.format(front=front), "b.md": "# B"}))

    first, second = job["report"]["files"]
    assert (first["outcome"], second["outcome"], second["warnings"]) == ("created", "created", [])
    assert [told in warning for warning in first["warnings"]] == [True]
    note = Note.objects.get(pk=first["note_id"])
    assert (note.title, note.status) == ("A", "draft")
    assert contents(note)[-1][1][-1][1].replace("\n  ", " ").replace(": a: b", ": {a: b}") == f"```yaml\n{front}\n```"
    assert [outcome for _, outcome in outcomes(again)] == ["unchanged", "unchanged"]


@pytest.mark.parametrize(("file", "kept"), [(OWN, []), ("---\n{front}\n---\n\n# A\n", ["```yaml\nstatus: done\n```"])])
def test_a_status_that_is_not_known_is_told(alice_client, file, kept):
    job = report_of(alice_client, "a.md", file.format(front="status: done").encode())

    assert len(job["report"]["files"][0]["warnings"]) == 1
    assert "status" in job["report"]["files"][0]["warnings"][0]
    assert Note.objects.get().status == "draft"
    assert [topic.explanation for topic in Topic.objects.exclude(explanation="")] == kept


def test_numbers_and_truths_in_front_matter_are_texts(alice_client):
    job = report_of(alice_client, "a.md", b"---\ntitle: 5\ntags: [2026, yes, 1_0]\nstatus: published\n---\ntext\n")

    note = Note.objects.get()
    assert (note.title, note.tags, note.status) == ("5", ["2026", "yes", "1_0"], "published")
    assert job["report"]["files"][0]["warnings"] == []


def test_signs_in_front_matter_are_no_comments(alice_client):
    report_of(alice_client, "a.md", b'---\ntitle: C# basics\ntags: ["#code"]\n---\n\n## C\n\ntext\n')
    report_of(alice_client, "b.md", b"---\ntitle: B  # mine\n---\n\n## C\n\ntext\n")

    texts = dict(Topic.objects.values_list("chapter__note__title", "explanation"))
    assert texts == {"C# basics": "text", "B": "text\n\n```yaml\ntitle: B  # mine\n```"}


def test_a_heading_that_was_edited_in_an_export_is_kept_and_told(alice_client):
    file = OWN.format(front="title: Old").replace("# A\n", "# New *one*\n", 1)

    job = report_of(alice_client, "a.md", file.encode())

    note = Note.objects.get()
    assert note.title == "Old"
    assert contents(note)[0] == ("Old", [("Old", "# New \\*one\\*")])
    assert job["report"]["files"][0]["warnings"] == [
        "The heading differs from the title of the front matter: it was moved to the text."
    ]
