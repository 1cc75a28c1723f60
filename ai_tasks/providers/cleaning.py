"""Removes what cannot be stored from a model's text while it streams in."""

import codecs


class CleanText:
    """Frees a text of NUL and lone surrogates, piece by piece.

    Servers may cut a surrogate pair in two between chunks, so its first half waits for the second.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")(errors="replace")

    def add(self, chunk: str, *, final: bool = False) -> str:
        """Take one more chunk and return what of it is ready."""
        units = chunk.replace("\x00", "").encode("utf-16-le", "surrogatepass")
        return self._decoder.decode(units, final)
