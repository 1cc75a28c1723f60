"""Archives: what Joplin's becomes, and which are refused, whole or entry by entry."""

import io
import tarfile
import zipfile

import pytest

from notes.models import Attachment, Note
from tests.files.images import saved
from tests.notes.imports.helpers import contents, outcomes, report_of, zipped


def test_joplins_archive_keeps_folders_tags_links_and_pictures(alice_client):
    ids = [character * 32 for character in "abcdef"]
    items = {
        f"{ids[0]}.md": f"Folder\n\nid: {ids[0]}\nparent_id: \ntype_: 2",
        f"{ids[1]}.md": f"First note\n\n# Head\n\n[second](:/{ids[2]}) ![p](:/{ids[4]})\n\nid: {ids[1]}\n"
        f"parent_id: {ids[0]}\nsource_url: https://example.com/a\ntype_: 1",
        f"{ids[2]}.md": f"Second\n\ntext: with colon\n\nid: {ids[2]}\nparent_id: {ids[0]}\ntype_: 1",
        f"{ids[3]}.md": f"physics\n\nid: {ids[3]}\ntype_: 5",
        f"{ids[4]}.md": f"pic.png\n\nid: {ids[4]}\nmime: image/png\ntype_: 4",
        f"{ids[5]}.md": f"id: {ids[5]}\nnote_id: {ids[1]}\ntag_id: {ids[3]}\ntype_: 6",
        f"resources/{ids[4]}.png": saved("PNG"),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in items.items():
            data = content if isinstance(content, bytes) else content.encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    job = report_of(alice_client, "all.jex", buffer.getvalue())
    again = report_of(alice_client, "all.jex", buffer.getvalue())

    assert outcomes(job) == [
        ("Folder/First note.md", "created"),
        ("Folder/Second.md", "created"),
        (f"resources/{ids[4]}.png", "skipped"),
    ]
    assert again["report"]["unchanged"] == 2
    first, second = Note.objects.get(title="First note"), Note.objects.get(title="Second")
    attachment = Attachment.objects.get()
    assert first.tags == ["physics"]
    assert contents(first) == [("Head", [("Head", f"[[Second|second]] ![p]({attachment.path})")])]
    assert first.chapters.get().topics.get().sources == [{"title": "First note", "url": "https://example.com/a"}]
    assert contents(second) == [("Second", [("Second", "text: with colon")])]


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
