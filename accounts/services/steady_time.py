"""Answers whose time tells nothing."""

import time

STEP_SECONDS = 0.4
"""Above the slowest work that is hidden behind such an answer: checking a password stored by PBKDF2, about 0.25 s."""


def wait_out(started: float) -> None:
    """Sleep until a whole number of steps has passed since ``started`` (of ``time.monotonic()``).

    Making the fast paths do the slow paths' work would cost every failed login a quarter of a second of CPU; a sleeping
    thread costs none. How many may sleep is bounded by the login throttle.
    """
    elapsed = time.monotonic() - started
    time.sleep(STEP_SECONDS - elapsed % STEP_SECONDS)
