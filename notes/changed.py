"""The apps that are told which notes are being written to.

An app registers its function in ``AppConfig.ready``. It is called inside the write's transaction, which holds the
notes' locks, and takes at most one statement, however many notes there are. What it raises undoes the write. It is not
told of what changes no text: tags and status of many notes at once, and moving into the trash and out of it.
"""

from collections.abc import Callable, Sequence

NotesChanged = Callable[[Sequence[int]], None]

_told: list[NotesChanged] = []


def on_notes_changed(function: NotesChanged) -> NotesChanged:
    """Register a function that is told the ids of notes whose texts are being written. Usable as a decorator."""
    if function not in _told:
        _told.append(function)
    return function


def tell_of_notes(note_ids: Sequence[int]) -> None:
    """Tell all who registered."""
    for function in _told:
        function(note_ids)
