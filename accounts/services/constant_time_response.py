"""Response times that do not reveal whether work was done."""

import time

STEP_SECONDS = 0.05
"""Longer than the slowest work to hide: one INSERT, which takes a few milliseconds."""


def pad_response_time(started: float) -> None:
    """Sleep until a whole number of steps has passed since ``started`` (of ``time.monotonic()``).

    Under load the work may take one step more. An attacker would need thousands of requests to exploit that, and the
    login throttle allows few. A step is so short that sleeping requests occupy no more threads than computing ones.
    """
    elapsed = time.monotonic() - started
    time.sleep(STEP_SECONDS - elapsed % STEP_SECONDS)
