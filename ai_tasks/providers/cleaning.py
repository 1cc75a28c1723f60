"""Text of a model made storable while it streams in."""

import codecs

from ai_tasks.providers.base import MAX_ANSWER_BYTES
from ai_tasks.providers.errors import UnusableAnswer


class AnswerText:
    """Collects an answer: free of NUL and lone surrogates, at most ``MAX_ANSWER_BYTES`` of UTF-8.

    Servers may cut a surrogate pair in two between chunks, so its first half waits for the second.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")(errors="replace")
        self._parts: list[str] = []
        self._bytes = 0

    @property
    def length(self) -> int:
        """Bytes of UTF-8 so far."""
        return self._bytes

    def add(self, chunk: str, *, final: bool = False) -> str:
        """Take one more chunk and return what of it is ready to be shown. Raises ``UnusableAnswer`` past the limit."""
        units = chunk.replace("\x00", "").encode("utf-16-le", "surrogatepass")
        clean = self._decoder.decode(units, final)
        self._bytes += len(clean.encode())
        if self._bytes > MAX_ANSWER_BYTES:
            raise UnusableAnswer("answer_too_large", f"The answer is longer than {MAX_ANSWER_BYTES} bytes.")
        self._parts.append(clean)
        return clean

    def text(self) -> str:
        return "".join(self._parts)
