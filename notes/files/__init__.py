"""The contents of attached files: which kinds there are, and what is taken out of them."""

from notes.files.kinds import ImageTooLarge, UnreadableFile, UnsupportedFile, cleaned, kind_of

__all__ = ["ImageTooLarge", "UnreadableFile", "UnsupportedFile", "cleaned", "kind_of"]
