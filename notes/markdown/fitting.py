"""Makes a tree fit the limits of notes without losing text: what is too large is split or moved, and reported."""

import re
from collections.abc import Iterator
from dataclasses import replace

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

from notes.markdown.outline import UNTITLED, join
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree
from notes.models import CODE_LANGUAGE, SOURCES_MAX, TEXT_MAX_BYTES, TITLE_MAX_LENGTH, Note
from notes.tags import InvalidTag, distinct_tags, normalize_tag
from notes.visible import is_visible

CHAPTERS_MAX = TOPICS_MAX = 100
URL_MAX_LENGTH = 2000
_is_web_address = URLValidator(schemes=["http", "https"])


def fit(note: NoteTree) -> None:
    """Change the parts of the tree that a note may not have; an exported tree stays unchanged."""
    over = _fit_title(note)
    _fit_status(note)
    over += _fit_tags(note)
    for chapter in note.chapters:
        _fit_chapter(note, chapter)
    note.chapters = _bounded(note)
    if over:
        note.chapters.insert(0, ChapterTree(note.title, [TopicTree(note.title, explanation="\n\n".join(over))]))
        note.chapters = _bounded(note)


def _fit_title(note: NoteTree) -> list[str]:
    whole = note.title
    note.title = _title(whole)
    if note.title == whole.strip() or not is_visible(whole):
        return []
    note.warnings.append("The title was too long. The text contains all of it.")
    parts: list[ChapterTree | TopicTree] = [*note.chapters]
    parts += [topic for chapter in note.chapters for topic in chapter.topics]
    for part in parts:
        if part.title == whole:  # named after the note
            part.title = note.title
    return [whole.strip()]


def _title(text: str) -> str:
    text = text.strip()
    if not is_visible(text):
        return UNTITLED
    return text if len(text) <= TITLE_MAX_LENGTH else text[: TITLE_MAX_LENGTH - 1].rstrip() + "…"


def _fit_status(note: NoteTree) -> None:
    if note.status not in Note.Status.values:
        note.warnings.append(f"The status {note.status[:50]!r} is not known: the note is a draft.")
        note.status = Note.Status.DRAFT.value


def _fit_tags(note: NoteTree) -> list[str]:
    tags: list[str] = []
    refused: list[str] = []
    for tag in note.tags:
        try:
            normal = normalize_tag(tag)
            distinct_tags([*tags, normal])
        except InvalidTag as error:
            refused.append(tag)
            note.warnings.append(f"The tag {tag[:60]!r} stands in the text: {error.detail}")
        else:
            tags.append(normal)
    note.tags = distinct_tags(tags)
    return ["Tags: " + ", ".join(refused)] if refused else []


def _fit_chapter(note: NoteTree, chapter: ChapterTree) -> None:
    title = _title(chapter.title)
    if title != chapter.title.strip() and is_visible(chapter.title):
        note.warnings.append("A heading was too long. The text contains all of it.")
        chapter.topics.insert(0, TopicTree(title, explanation=chapter.title.strip()))
    chapter.title = title
    chapter.topics = [part for topic in chapter.topics for part in _fitting_topics(note, topic)]


def _fitting_topics(note: NoteTree, topic: TopicTree) -> Iterator[TopicTree]:
    title = _title(topic.title)
    if title != topic.title.strip() and is_visible(topic.title):
        note.warnings.append("A heading was too long. The text contains all of it.")
        topic.explanation = join(topic.title.strip(), topic.explanation)
    topic.title = title
    _fit_sources(note, topic)
    if not re.fullmatch(CODE_LANGUAGE, topic.code_language):
        note.warnings.append(f"The language {topic.code_language[:40]!r} is not a valid language of code.")
        topic.explanation = join(topic.explanation, f"Code: {topic.code_language}")
        topic.code_language = ""
    if len(topic.code.encode()) > TEXT_MAX_BYTES:
        note.warnings.append("Code was too long for a topic. It was moved to the text.")
        topic.explanation = join(topic.explanation, topic.code)
        topic.code = ""
    texts = list(pieces(topic.explanation))
    if len(texts) > 1:
        note.warnings.append(f"The text of {topic.title[:60]!r} was too long for one topic: it is in {len(texts)}.")
    yield replace(topic, explanation=texts[0])
    for number, text in enumerate(texts[1:], 2):
        yield TopicTree(_numbered(topic.title, number), explanation=text)


def _fit_sources(note: NoteTree, topic: TopicTree) -> None:
    kept: list[dict[str, str]] = []
    for source in topic.sources:
        title, url = source["title"].strip(), source["url"]
        if len(kept) < SOURCES_MAX and is_visible(title) and len(title) <= TITLE_MAX_LENGTH and _is_address(url):
            kept.append({"title": title, "url": url})
        else:
            note.warnings.append("An invalid source was moved to the text.")
            topic.explanation = join(topic.explanation, f"{title} {url}")
    topic.sources = kept


def _is_address(url: str) -> bool:
    try:
        _is_web_address(url)
    except ValidationError:
        return False
    return len(url) <= URL_MAX_LENGTH


def pieces(text: str) -> Iterator[str]:
    """Split a text into pieces that fit a topic: at blank lines if possible, otherwise at line ends."""
    content = text.encode()
    while len(content) > TEXT_MAX_BYTES:
        head = content[:TEXT_MAX_BYTES]
        end = next((found for mark in (b"\n\n", b"\n", b" ") if (found := head.rfind(mark)) > 0), TEXT_MAX_BYTES)
        while end and content[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield content[:end].decode()
        content = content[end:].lstrip(b"\n")
    yield content.decode()


def _bounded(note: NoteTree) -> list[ChapterTree]:
    """Rearrange the note into at most 100 chapters of at most 100 topics each."""
    chapters = [part for chapter in note.chapters for part in _split(chapter)]
    if len(chapters) <= CHAPTERS_MAX:
        return chapters
    note.warnings.append(f"There were {len(chapters)} chapters. A note has at most {CHAPTERS_MAX}: some are topics.")
    whole = ChapterTree(note.title)
    for chapter in chapters:
        if len(chapter.topics) == 1 and chapter.topics[0].title == chapter.title:
            whole.topics += chapter.topics
        else:
            whole.topics += [TopicTree(chapter.title), *chapter.topics]
    chapters = list(_split(whole))
    if len(chapters) <= CHAPTERS_MAX:
        return chapters
    text = ""
    for topic in whole.topics:
        text = join(text, join(f"## {topic.title}", topic.explanation))
    return list(_split(ChapterTree(note.title, [TopicTree(note.title, explanation=piece) for piece in pieces(text)])))


def _split(chapter: ChapterTree) -> Iterator[ChapterTree]:
    yield replace(chapter, topics=chapter.topics[:TOPICS_MAX])
    for number, start in enumerate(range(TOPICS_MAX, len(chapter.topics), TOPICS_MAX), 2):
        yield ChapterTree(_numbered(chapter.title, number), chapter.topics[start : start + TOPICS_MAX])


def _numbered(title: str, number: int) -> str:
    end = f" ({number})"
    return title[: TITLE_MAX_LENGTH - len(end)] + end
