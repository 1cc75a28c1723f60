"""The ``Retry-After`` header of RFC 9110: seconds, or a date."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 3600.0


def seconds_to_wait(value: str | None) -> float | None:
    """How long to wait, between 0 and ``MAX_SECONDS``; None if the header is missing or makes no sense."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        # The date is in GMT by definition, also where it does not say so.
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_SECONDS)
