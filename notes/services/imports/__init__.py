"""Imports: files that become notes, carried out by a worker.

``jobs`` submits and cancels the job, ``running`` carries it out, ``formats`` reads the kinds of files, and ``saving``
writes the notes.
"""

from notes.services.imports.jobs import (
    AlreadyFinished,
    TooManyImports,
    Upload,
    cancel_import,
    purge_imports,
    require_room,
    stored_upload,
    submit_import,
)
from notes.services.imports.running import carry_out_import

__all__ = [
    "AlreadyFinished",
    "TooManyImports",
    "Upload",
    "cancel_import",
    "carry_out_import",
    "purge_imports",
    "require_room",
    "stored_upload",
    "submit_import",
]
