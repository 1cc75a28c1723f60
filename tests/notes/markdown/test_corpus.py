"""Files in the manner of other programs: what each becomes, and that no word of any is lost.

``import_corpus/table.md`` says what each file becomes. The test that compares it writes the one that would be right.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notes.importers import SourceFile
from notes.markdown import decoding, foreign_files, front_matter
from notes.markdown.fitting import fit
from notes.markdown.links import Index
from notes.markdown.trees import NoteTree
from notes.models import TEXT_MAX_BYTES, Note
from notes.services import imports
from notes.services.imports import formats
from notes.transfers import NoteImport

CORPUS = Path(__file__).parent.parent / "import_corpus"
TABLE = CORPUS / "table.md"
FOLDERS = ["hand", "joplin", "notion", "obsidian", "text", "word"]
DESTINATION = re.compile(r"\]\([^)\n]*\)")
TARGET = re.compile(r"\[\[[^\]|\n]*\|")
TAKEN_KEY = re.compile(r"^(title|tags?|keywords):|^(created|updated): \d{4}-\d\d-\d\d.*$", re.MULTILINE)


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def source_words(path: Path) -> set[str]:
    """What a reader would miss: not the addresses of links, nor the keys and times of front matter that a note has."""
    if path.suffix == ".docx":
        with zipfile.ZipFile(path) as archive:
            document = archive.read("word/document.xml").decode()
        return words_of(" ".join(re.findall(r"<w:t[^>]*>([^<]*)", document)))
    text, _ = decoding.decode(path.read_bytes())
    text = TARGET.sub("", DESTINATION.sub("", text))
    front, _ = front_matter.split(text)
    if front:
        text = TAKEN_KEY.sub("", text.replace('\\"', '"'))
    return words_of(text)


def said_by(note: Note) -> str:
    texts = [note.title, *note.tags]
    for chapter in note.chapters.all():
        texts.append(chapter.title)
        for topic in chapter.topics.all():
            texts += [topic.title, topic.explanation, topic.code, topic.code_language]
            texts += [text for source in topic.sources for text in (source["title"], source["url"])]
    return "\n".join(texts)


def zipped(folder: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted((CORPUS / folder).rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(CORPUS / folder))
    return buffer.getvalue()


@pytest.fixture
def import_folder(alice, files):
    def import_folder(folder: str) -> NoteImport:
        content = io.BytesIO(zipped(folder))
        with imports.stored_upload(content) as upload:
            job = imports.submit_import(user_id=alice.pk, name=f"{folder}.zip", upload=upload, dry_run=False)
        imports.carry_out_import(job.pk)
        return job

    return import_folder


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_word_of_any_file_is_lost(import_folder, folder):
    job = import_folder(folder)

    imported = list(job.files.exclude(outcome="skipped"))
    assert imported
    for file in imported:
        note = Note.objects.for_detail().get(pk=file.note_id)
        lost = source_words(CORPUS / folder / file.name) - words_of(said_by(note))
        assert not lost, f"{file.name} lost {sorted(lost)}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_same_folder_again_makes_nothing(import_folder, folder):
    first = import_folder(folder)
    expected = {
        name: "skipped" if outcome == "skipped" else "unchanged"
        for name, outcome in first.files.values_list("name", "outcome")
    }
    before = set(Note.objects.values_list("pk", "version"))

    again = import_folder(folder)

    assert dict(again.files.values_list("name", "outcome")) == expected != {}
    assert set(Note.objects.values_list("pk", "version")) == before


def test_each_file_becomes_what_the_table_says(import_folder, tmp_path):
    lines = list(table_lines(import_folder))

    assert len(lines) - 2 >= 30
    written = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    present = tmp_path / "table.md"
    present.write_text("\n".join(lines) + "\n")
    assert lines == written, f"If the change is meant, take what is in {present}."


def table_lines(import_folder) -> Iterator[str]:
    yield "| File | Outcome | Title | Chapters: topics | Told |"
    yield "|---|---|---|---|---|"
    for folder in FOLDERS:
        for file in import_folder(folder).files.order_by("position"):
            note = Note.objects.for_detail().filter(pk=file.note_id).first()
            chapters = "; ".join(
                f"{shown(chapter.title)}: {', '.join(shown(topic.title) for topic in chapter.topics.all())}"
                for chapter in (note.chapters.all() if note else ())
            )
            name = re.sub(r" [0-9a-f]{32}", "", file.name)
            cells = [f"{folder}/{name}", file.outcome, shown(note.title) if note else "", chapters]
            yield "| " + " | ".join([*cells, " ".join(file.warnings)]).replace("  ", " ") + " |"


def shown(title: str) -> str:
    title = title.replace("|", "\\|")
    return title if len(title) < 40 else title[:39] + "…"


FRAGMENTS = st.sampled_from(
    [
        "# Title", "## Section", "### Sub", "#### Deep", "Setext\n===", "Other\n---", "plain words", "- item", "1. one",
        "> [!note] Callout\n> text", "```python\n# code\n```", "```", "    indented", "[[Known]]", "[[Known|alias]]",
        "![[pic.png]]", "[text](Known.md)", "[text](other.md#part)", "![alt](pic.png)", "<div>", "</div>", "<!-- note",
        "-->", "| a | b |\n|---|---|\n| c | d |", "$$\nx\n$$", "---", "[ref]: http://example.com", "a [ref] b",
        "\\# not",
        "%% hidden %%", "é\u0301\u200b", "#", "##", "* * *", "<!-- noteassist:topic 1 -->", "日本語", "[a](b", "![",
        "]]",
        "x" * 50, "\ttab", "> # quoted", "- ## listed", "&amp;", "`code [[Known]]`",
    ]
)  # fmt: skip
DOCUMENTS = st.lists(FRAGMENTS, max_size=12).flatmap(
    lambda parts: st.sampled_from(["\n\n", "\n", "\n\n\n"]).map(lambda separator: separator.join(parts))
)


def nothing_attached(path: str, label: str) -> None:
    """Files that become no attachments."""


def known_files() -> Index:
    index = Index()
    index.add_note("Known.md", "Known")
    index.add_other("pic.png")
    return index


def texts_of(tree: NoteTree) -> str:
    parts = [tree.title, *tree.tags]
    for chapter in tree.chapters:
        parts.append(chapter.title)
        parts += [text for topic in chapter.topics for text in (topic.title, topic.explanation)]
    return "\n".join(parts)


@given(DOCUMENTS)
@example("# " + "long " * 100 + "\n\ntext")
@settings(max_examples=400, deadline=None)
def test_no_word_of_any_markdown_is_lost(text):
    tree = foreign_files.read_markdown(text, path="a.md", index=known_files(), attach=nothing_attached)
    fit(tree)

    assert words_of(DESTINATION.sub("", text)) <= words_of(texts_of(tree))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=200, deadline=None)
def test_any_text_at_all_becomes_a_note(text):
    tree = foreign_files.read_markdown(text, path="a.md", index=known_files(), attach=nothing_attached)
    fit(tree)

    assert words_of(text) <= words_of(texts_of(tree))


def test_texts_that_are_too_long_for_a_topic_are_cut_up_at_blank_lines():
    paragraphs = [f"paragraph {number} " + "é" * 2000 for number in range(100)]
    tree = foreign_files.read_markdown("\n\n".join(paragraphs), path="long.md", index=Index(), attach=nothing_attached)
    fit(tree)

    topics = tree.chapters[0].topics
    assert [topic.title for topic in topics] == ["long", "long (2)", "long (3)", "long (4)", "long (5)"]
    assert all(len(topic.explanation.encode()) <= TEXT_MAX_BYTES for topic in topics)
    assert "\n\n".join(topic.explanation for topic in topics) == "\n\n".join(paragraphs)


@pytest.mark.parametrize(
    ("headings", "text", "topics"),
    [(250, "## s{0}\n\nt{0}", [100, 100, 50]), (12_000, "## s{0}", [2]), (300, "### d{0}", [100, 100, 100])],
)
def test_more_parts_than_a_note_may_have_are_brought_together(headings, text, topics):
    source = "\n\n".join(text.format(number) for number in range(headings))
    tree = foreign_files.read_markdown(source, path="a.md", index=Index(), attach=nothing_attached)
    fit(tree)

    assert [len(chapter.topics) for chapter in tree.chapters] == topics
    assert words_of(source) <= words_of(texts_of(tree))
    assert tree.warnings == [f"There were {headings} chapters. A note has at most 100: some are topics."]


def test_hostile_markdown_takes_linear_time():
    """Each took minutes or the stack in other parsers."""
    for text in ("![" * 50_000, "> " * 30_000, "[[" * 50_000, "> [!a] b\n" * 10_000, "# a\n" * 20_000, "`" * 100_000):
        tree = foreign_files.read_markdown(text, path="a.md", index=known_files(), attach=nothing_attached)
        fit(tree)


def test_a_file_is_read_no_further_than_a_note_may_be_long():
    asked = []

    def read(at_most: int) -> bytes:
        asked.append(at_most)
        return b"x" * at_most

    with pytest.raises(formats.CannotImport):
        formats.read_text(SourceFile("a.md", "a.md", read))
    assert asked == [5 * 1024 * 1024 + 1]
