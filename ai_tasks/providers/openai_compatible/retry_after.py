"""Reads how long to wait before the next call: ``Retry-After`` of RFC 9110 (seconds or a date) and its variants."""

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

MAX_SECONDS = 3600.0
_IN_WORDS = re.compile(
    r"(?:again|retry|wait|reset)\w*(?: again)?(?: in| after| for)? ?:?"
    r"(?= ?\d) ?(?:(?P<h>\d{1,3}) ?h(?:rs?|ours?)?)?,? ?(?:(?P<m>\d{1,4}) ?m(?!s|illi)(?:in[a-z]*)?)?,? ?"
    r"(?:(?P<s>\d{1,6}(?:\.\d{1,9})?) ?(?P<unit>ms|milli|s))?",
    re.IGNORECASE,
)


def wait_of(headers: httpx2.Headers) -> float | None:
    """The wait that the headers ask for, in seconds. ``retry-after-ms`` is more exact and wins."""
    milliseconds = seconds_to_wait(headers.get("retry-after-ms"), unit=0.001)
    return seconds_to_wait(headers.get("retry-after")) if milliseconds is None else milliseconds


def wait_in_words(text: str) -> float | None:
    """The wait that a message asks for, such as ``Please try again in 1m26.5s``, in seconds."""
    match = _IN_WORDS.search(text)
    if not match or not (match["h"] or match["m"] or match["s"]):
        return None
    seconds = float(match["s"] or 0) * (0.001 if (match["unit"] or "").lower() in ("ms", "milli") else 1)
    return min(int(match["h"] or 0) * 3600 + int(match["m"] or 0) * 60 + seconds, MAX_SECONDS)


def seconds_to_wait(value: str | None, *, unit: float = 1.0) -> float | None:
    """The wait in seconds, between 0 and ``MAX_SECONDS``; None if the header is missing or invalid."""
    if value is None:
        return None
    try:
        seconds = float(value) * unit
    except ValueError:
        try:
            timestamp = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        # The date is in GMT by definition, even if it does not say so.
        seconds = (timestamp.replace(tzinfo=timestamp.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_SECONDS)
