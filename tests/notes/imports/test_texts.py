"""Names and texts in any encoding, and of any program."""

import io
import tarfile
import warnings
import zipfile

import pytest

from notes.models import Chapter, Note
from tests.notes.imports.helpers import outcomes, report_of, zipped


def test_names_are_nfc_and_of_any_program(alice_client):
    decomposed = "re\u0301sume\u0301.md"
    # Written as UTF-8 without the flag that says so, as many programs do.
    content = zipped({decomposed: ""}).replace(b"\x00\x08", b"\x00\x00")

    job = report_of(alice_client, "x.zip", content)

    assert outcomes(job) == [("r\u00e9sum\u00e9.md", "created")]
    assert Note.objects.get().title == "r\u00e9sum\u00e9"


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("# Grüße".encode("utf-8-sig"), "Grüße"),
        ("# Grüße\n\n".encode("utf-16"), "Grüße"),
        ("# Grüße\n\nund ein langer Text mit Leerzeichen".encode("utf-16-le"), "Grüße"),
        ("# Grüße\n\nviele schöne Grüße aus Köln, überall hört man Ärger".encode("cp1252"), "Grüße"),
        ("# Café\n\nEl niño comió piñas, déjà vu".encode("cp1252"), "Café"),
        ("# Zażółć\n\ngęślą jaźń, proszę bardzo".encode("cp1250"), "Zażółć"),
        ("# Привет\n\nмы читали книги и писали письма друзьям".encode("cp1251"), "Привет"),
        ("# こんにちは\n\nこれは日本語の文章です。読み込みを確認します。".encode("shift_jis"), "こんにちは"),
    ],
)
def test_texts_in_other_encodings_are_read(alice_client, content, title):
    job = report_of(alice_client, "a.md", content)

    assert outcomes(job) == [("a.md", "created")]
    assert Note.objects.get().title == title


def test_a_guessed_encoding_is_told_and_binary_files_fail(alice_client):
    guessed = report_of(alice_client, "a.md", "# Grüße\n\nviele schöne Grüße aus Köln".encode("cp1252"))
    binary = report_of(alice_client, "b.md", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))

    (warning,) = guessed["report"]["files"][0]["warnings"]
    assert warning.startswith("Its encoding is not stated. It was read as ")
    assert binary["report"]["files"] == [
        {"name": "b.md", "outcome": "failed", "warnings": ["The text encoding of this file is not supported."]}
    ]


def test_names_of_a_kind_in_one_archive_lose_no_text(alice_client):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the names that are there twice
        for number, name in enumerate(["a.md", "a.md", "a (2).md", "e\u0301.md", "\u00e9.md", "A.md", ".", "."]):
            archive.writestr(name, f"# Note {number}\n\ntext {number}")

    job = report_of(alice_client, "a.zip", buffer.getvalue())

    assert sorted(outcomes(job)) == [
        ("A.md", "created"),
        ("a (2).md", "created"),
        ("a (3).md", "created"),
        ("a.md", "created"),
        ("\u00e9 (2).md", "created"),
        ("\u00e9.md", "created"),
    ]
    assert set(Note.objects.values_list("title", flat=True)) == {f"Note {number}" for number in range(6)}


def test_names_in_a_tar_may_be_in_any_encoding(alice_client):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("caf\u00e9.bin"))

    job = report_of(alice_client, "a.jex", buffer.getvalue())

    assert (job["status"], outcomes(job)) == ("succeeded", [("caf\ufffd.bin", "skipped")])


@pytest.mark.parametrize("reference", ["&#x0;", "&#xD800;", "&#xDFFF;", "&#x110000;"])
def test_references_to_no_character_stay_as_they_are(alice_client, reference):
    own = f"---\nnoteassist: 1\ntitle: A\n---\n\n<!-- noteassist:chapter 1 -->\n## x{reference}y\n"
    job = report_of(alice_client, "a.zip", zipped({"a.md": own, "b.md": f"# B\n\n## x{reference}y\n\ntext\n"}))

    assert (job["status"], outcomes(job)) == ("succeeded", [("a.md", "created"), ("b.md", "created")])
    assert set(Chapter.objects.values_list("title", flat=True)) == {f"x{reference}y"}
