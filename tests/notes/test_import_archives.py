"""Archives that are unsafe, damaged or of any program, and texts in any encoding."""

import io
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from notes.models import Note
from tests.notes.test_imports import outcomes, report_of, zipped


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def unsafe_archives() -> dict[str, bytes]:
    link = zipfile.ZipInfo("link.md")
    link.external_attr = 0o120777 << 16
    with_link = io.BytesIO()
    with zipfile.ZipFile(with_link, "w") as archive:
        archive.writestr("a.md", "# A")
        archive.writestr(link, "/etc/passwd")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as jex:
        member = tarfile.TarInfo("a.md")
        member.type = tarfile.SYMTYPE
        member.linkname = "/etc/passwd"
        jex.addfile(member)
    inner = zipped({"../a.md": "x"})
    return {
        "traversal.zip": zipped({"a.md": "# A", "../b.md": "# B"}),
        "backslash.zip": zipped({"a.md": "# A", "..\\b.md": "# B"}),
        "absolute.zip": zipped({"a.md": "# A", "/etc/b.md": "# B"}),
        "drive.zip": zipped({"C:/b.md": "# B"}),
        "symlink.zip": with_link.getvalue(),
        "symlink.jex": tar.getvalue(),
        "bomb.zip": zipped({"a.md": "# A", "b.md": b"\0" * 20_000_000}),
        "many.zip": zipped({f"{number}.md": "" for number in range(5001)}),
        "nested.zip": zipped({"a.md": "# A", "inner.zip": inner}),
    }


@pytest.mark.parametrize("name", unsafe_archives())
def test_an_unsafe_archive_makes_nothing(alice_client, name):
    job = report_of(alice_client, name, unsafe_archives()[name])

    assert (job["status"], job["error"]["code"]) == ("failed", "unsafe_archive")
    assert job["report"]["files"] == []
    assert not Note.objects.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_what_is_no_archive_fails(alice_client, content):
    job = report_of(alice_client, "x.zip", content)

    assert (job["status"], job["error"]["code"]) == ("failed", "unreadable_archive")


def tarred(size: bytes = b"", **headers: str) -> bytes:
    """A tar of one file; ``size``: as the header says it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("a.md")
        member.size = 3
        member.pax_headers = headers
        archive.addfile(member, io.BytesIO(b"abc"))
    content = bytearray(buffer.getvalue())
    content[124 : 124 + len(size)] = size
    content[148:156] = b"%06o\0 " % (sum(content[:148]) + 8 * 32 + sum(content[156:512]))
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text" * 500,
        tarred(size=b"\xff" * 12),  # below zero: the same entry would be read for ever
        tarred(**{"GNU.sparse.map": "a,b"}),
    ],
)
def test_what_is_no_archive_of_joplin_fails(alice_client, content):
    job = report_of(alice_client, "x.jex", content)

    assert (job["status"], job["error"]["code"]) == ("failed", "unreadable_archive")


def test_a_colon_in_a_name_is_no_drive(alice_client):
    job = report_of(alice_client, "x.zip", zipped({"1:30 lesson.md": "", "Q: what is it.md": ""}))

    assert outcomes(job) == [("1:30 lesson.md", "created"), ("Q: what is it.md", "created")]


def test_a_damaged_entry_fails_alone(alice_client):
    archive = bytearray(zipped({"a.md": "# A" + " word" * 100, "b.md": "# B"}))
    archive[40] ^= 0xFF

    job = report_of(alice_client, "x.zip", bytes(archive))

    assert outcomes(job) == [("a.md", "failed"), ("b.md", "created")]
    assert job["status"] == "succeeded"


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
        {"name": "b.md", "outcome": "failed", "warnings": ["This is no text in an encoding that is known here."]}
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
