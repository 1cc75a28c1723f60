"""Joins a truncated answer and its continuation."""

MAX_OVERLAP = 2000
MIN_OVERLAP = 12
"""A shorter overlap may be chance."""


def joined(text: str, rest: str) -> tuple[str, str]:
    """Return the joined text, and what it adds to ``text``.

    Models repeat the last words, or the whole text, although the prompt forbids it; the overlap is removed.
    """
    if len(text) >= MIN_OVERLAP and rest.startswith(text):
        addition = rest[len(text) :]
        return text + addition, addition
    # The longest end of the text that the rest starts with, in one pass: the failure function of Knuth, Morris and
    # Pratt.
    head, tail = rest[:MAX_OVERLAP], text[-MAX_OVERLAP:]
    fallback = [0] * len(head)
    length = 0
    for index in range(1, len(head)):
        while length and head[index] != head[length]:
            length = fallback[length - 1]
        length += head[index] == head[length]
        fallback[index] = length
    length = 0
    for character in tail:
        while length and (length == len(head) or character != head[length]):
            length = fallback[length - 1]
        if head:
            length += character == head[length]
    addition = rest[length:] if length >= MIN_OVERLAP else rest
    return text + addition, addition
