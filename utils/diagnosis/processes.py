"""Whether workers and beat are running, by their heartbeats in Redis."""

import time
from collections.abc import Iterator

from utils.diagnosis import Options, Result, check
from utils.redis.signs import BEAT_SILENCE_SECONDS, beat_last_run, workers_alive


@check("worker", needs=("redis",))
def workers(_options: Options) -> Iterator[Result]:
    count = workers_alive()
    yield count > 0, f"{count} workers take tasks" if count else "no worker takes tasks (start the process worker)"


@check("beat", needs=("redis",))
def beat(_options: Options) -> Iterator[Result]:
    last_run = beat_last_run()
    if last_run is None:
        yield False, "beat has never run (start the process beat)"
        return
    silence = max(0.0, time.time() - last_run)
    yield silence <= BEAT_SILENCE_SECONDS, f"beat ran {silence:.0f} s ago (it should every 3 s)"
