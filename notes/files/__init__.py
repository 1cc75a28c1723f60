"""The contents of attached files: detecting their kinds, and removing metadata."""

from notes.files.kinds import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned, kind_of

__all__ = ["ImageTooLarge", "UnreadableFile", "UnsupportedFile", "cleaned", "kind_of"]
