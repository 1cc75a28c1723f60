"""The registry of importers, which other apps add to."""

from notes import importers
from notes.importers import FileReport, ImportContext, Importer, SourceFile


def nothing(context: ImportContext, file: SourceFile) -> FileReport:
    return FileReport("skipped")


def test_each_kind_of_file_has_its_importer():
    assert [importers.importer_for(name).name for name in ("a.md", "b.MARKDOWN", "c/d.txt", "e.docx")] == [
        "markdown",
        "markdown",
        "text",
        "docx",
    ]
    assert importers.importer_for("a.png") is None


def test_two_importers_for_one_kind_are_refused(monkeypatch):
    assert importers.one_importer_for_each_kind() == []
    monkeypatch.setattr(importers, "_registered", [*importers._registered])

    importers.register(Importer("notes of others", (".mdx", ".md"), nothing))

    (error,) = importers.one_importer_for_each_kind()
    assert error.id == "notes.E001"
    assert error.msg == "Files .md are imported by both markdown and notes of others."


def test_an_importer_is_registered_once(monkeypatch):
    monkeypatch.setattr(importers, "_registered", [])
    importer = Importer("x", (".x",), nothing)

    importers.register(importer)
    importers.register(importer)

    assert importers.one_importer_for_each_kind() == []
    assert importers.extensions() == [".x"]
