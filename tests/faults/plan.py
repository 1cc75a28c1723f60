"""How much a run does, and the settings that it runs with."""

from dataclasses import dataclass

LEASE_SECONDS = 3
SWEEP_SECONDS = 2
TIMEOUT_SECONDS = 10
SHUTDOWN_SECONDS = 3
REPUBLISH_SECONDS = 60
MAX_BACKOFF_SECONDS = 16
"""After the fourth failure of the provider; the fifth is final."""

RECOVERY_SECONDS = REPUBLISH_SECONDS + LEASE_SECONDS + SWEEP_SECONDS + TIMEOUT_SECONDS + MAX_BACKOFF_SECONDS
"""How long after the last fault the last task may end: its message is sent again, its lease expires, and it runs."""

STOP_SECONDS = SHUTDOWN_SECONDS + 12
"""How long a worker may take to end after SIGTERM: its grace time, 8 s to leave the broker, and a margin."""

PROVIDER = ["slow", "slow", "slow", "slow", "slow", "no_usage", "json", "429", "500", "cut", "drop", "cut_cleanly",
            "hang_midway"]  # fmt: skip
"""What the provider does to a call, each as likely as another: more than a third of the calls fail."""


SLOWEST_ANSWER_SECONDS = 2.0
"""How long a request may take while the web server and PostgreSQL are there, whatever Redis does."""


@dataclass(frozen=True)
class Plan:
    """Numbers of tasks and faults; ``seconds`` is what the faults but those of workers are spread over."""

    tasks: int
    seconds: float
    worker_sigkills: int
    worker_sigterms: int
    worker_freezes: int
    redis_outages: tuple[float, ...]
    """Seconds for which it is away after each SIGKILL."""
    redis_freezes: int
    redis_refusals: tuple[float, ...]
    """Seconds for which it refuses writes, in each of its ways."""
    postgres_outages: tuple[float, ...]
    """The same; it ends by SIGQUIT (immediate: as a crash) and SIGINT (fast) in turn."""
    type_changes: int
    """How often a column of the tasks gets another type, so that what was prepared has to be prepared again."""
    web_sigkills: int
    beat_sigkills: int
    control_tasks: int
    slack: float
    """Seconds that everything may take beyond what is promised, where other tests share the machine."""
    backlog: int = 0
    workers: int = 3
    worker_concurrency: int = 8
    clients: int = 32
    accounts: int = 24
    """Fewer than clients: some share theirs."""


SHORT = Plan(
    tasks=400,
    seconds=60,
    worker_sigkills=14,
    worker_sigterms=6,
    worker_freezes=3,
    redis_outages=(0, 1, 2, 4),
    redis_freezes=1,
    redis_refusals=(2,),
    postgres_outages=(2,),
    type_changes=2,
    web_sigkills=2,
    beat_sigkills=2,
    control_tasks=60,
    slack=8.0,
)
LONG = Plan(
    tasks=1500,
    seconds=240,
    worker_sigkills=60,
    worker_sigterms=24,
    worker_freezes=12,
    redis_outages=(0, 0, 0, 0.5, 1, 1, 2, 2, 3, 4, 5, 15),
    redis_freezes=3,
    redis_refusals=(0.5, 4),
    postgres_outages=(0, 2, 20, 1),
    type_changes=6,
    web_sigkills=6,
    beat_sigkills=6,
    control_tasks=100,
    slack=0.0,
    backlog=1000,
)
