"""Answers whose time tells nothing."""

import time

STEP_SECONDS = 0.05
"""Above the slowest work that is hidden behind such an answer: one INSERT, a few milliseconds."""


def wait_out(started: float) -> None:
    """Sleep until a whole number of steps has passed since ``started`` (of ``time.monotonic()``).

    Under load the work may cross a step; what that tells takes thousands of requests to hear, and the login throttle
    allows few. A step is so short that sleepers hold no more threads than requests that compute.
    """
    elapsed = time.monotonic() - started
    time.sleep(STEP_SECONDS - elapsed % STEP_SECONDS)
