"""The importers of files that become notes."""

from pathlib import Path

import orjson

from notes.importers import CannotImport, FileReport, ImportContext, Importer, SourceFile, importer_for, register
from notes.markdown import decoding, foreign_files, front_matter, joplin
from notes.markdown.fitting import fit
from notes.markdown.trees import NoteTree
from notes.models import NOTE_MAX_BYTES, Topic
from notes.services.imports.attachments import FileAttachments
from notes.services.imports.saving import save_tree
from utils.bounded_process import ProcessFailed, run_bounded

DOCUMENT_MAX = 50 * 1024 * 1024
_DOCX_PROCESS = Path(front_matter.__file__).with_name("docx_process.py")


def read_text(file: SourceFile) -> tuple[str, list[str]]:
    """The file's text and its warnings. Raises :class:`CannotImport`."""
    content = file.read(NOTE_MAX_BYTES + 1)
    if len(content) > NOTE_MAX_BYTES:
        raise CannotImport(f"The file is larger than a note may be ({NOTE_MAX_BYTES} bytes).")
    try:
        return decoding.decode(content)
    except decoding.NotText as error:
        raise CannotImport(str(error)) from error


def _import_markdown(context: ImportContext, file: SourceFile) -> FileReport:
    tree, files, warnings = _read_markdown(context, file)
    report = _save(context, file, tree, warnings, files)
    if report.note_id is not None:
        _remember_ids(context, tree, report.note_id)
    return report


def remember_file(context: ImportContext, file: SourceFile, note_id: int) -> None:
    """Record in ``context`` the note of a file that was imported before. Does nothing if the file is not an export."""
    importer = importer_for(file.name)
    if importer is not None and importer.name == "markdown":
        tree, _, _ = _read_markdown(context, file)
        fit(tree)
        _remember_ids(context, tree, note_id)


def _read_markdown(context: ImportContext, file: SourceFile) -> tuple[NoteTree, FileAttachments, list[str]]:
    text, warnings = read_text(file)
    files = FileAttachments(context, file)
    tree = foreign_files.read_markdown(text, path=file.path, index=context.index, attach=files.attach)
    if tree.id is not None:
        for chapter in tree.chapters:
            for topic in chapter.topics:
                topic.explanation = files.move(topic.explanation)
    return tree, files, warnings


def _remember_ids(context: ImportContext, tree: NoteTree, note_id: int) -> None:
    """Record the new ids of the export's note and topics. Topics that were moved or renamed since are not found."""
    if tree.id is None:
        return
    context.notes[tree.id] = note_id
    topics = Topic.objects.filter(chapter__note=note_id).order_by("chapter__order", "order").values_list("pk", "title")
    exported = [topic for chapter in tree.chapters for topic in chapter.topics]
    for topic, (pk, title) in zip(exported, topics, strict=False):
        if topic.id is not None and topic.title == title:
            context.topics[topic.id] = pk


def _import_text(context: ImportContext, file: SourceFile) -> FileReport:
    text, warnings = read_text(file)
    return _save(context, file, foreign_files.read_text(text, path=file.name), warnings)


def _import_docx(context: ImportContext, file: SourceFile) -> FileReport:
    content = file.read(DOCUMENT_MAX + 1)
    if len(content) > DOCUMENT_MAX:
        raise CannotImport("The document is too large.")
    try:
        read = orjson.loads(run_bounded(_DOCX_PROCESS, content))
    except ProcessFailed as error:
        raise CannotImport("This Word document cannot be read.") from error
    files = FileAttachments(context, file)
    tree = foreign_files.read_foreign(
        None, read["markdown"].replace("\0", ""), path=file.name, index=context.index, attach=files.attach
    )
    return _save(context, file, tree, read["warnings"])


def import_joplin_note(
    context: ImportContext, file: SourceFile, item: joplin.Item, tags: list[str], warnings: list[str]
) -> FileReport:
    """Import a note of Joplin's archive."""
    files = FileAttachments(context, file)
    tree = foreign_files.read_foreign(
        None, item.body, path=file.path, index=context.index, attach=files.attach, title=item.title
    )
    tree.tags = tags
    if url := item.properties.get("source_url"):
        _add_source(tree, item.title, url)
    return _save(context, file, tree, warnings, files)


def _add_source(tree: NoteTree, title: str, url: str) -> None:
    topics = [topic for chapter in tree.chapters for topic in chapter.topics]
    if topics:
        topics[0].sources.append({"title": title or url, "url": url})


def _save(
    context: ImportContext,
    file: SourceFile,
    tree: NoteTree,
    warnings: list[str],
    files: FileAttachments | None = None,
) -> FileReport:
    tree.warnings[:0] = warnings
    report = save_tree(context, file, tree)
    if files is not None and report.note_id is not None and report.outcome != "unchanged":
        files.save(report.note_id)
    return report


def register_formats() -> None:
    register(Importer("markdown", (".md", ".markdown", ".mdown"), _import_markdown))
    register(Importer("text", (".txt", ".text"), _import_text))
    register(Importer("docx", (".docx",), _import_docx))
