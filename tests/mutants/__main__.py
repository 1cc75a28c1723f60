"""``python -m tests.mutants``: mutate the code where a mistake costs most, by cosmic-ray, in a clone of HEAD."""

import argparse
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

from tests.contributing.__main__ import make_clone

PARTS = {
    "ledger": (
        "ai_tasks/ledger",
        "tests/ai_tasks/test_ledger_submission.py tests/ai_tasks/test_ledger_control.py "
        "tests/ai_tasks/test_ledger_attempts.py tests/ai_tasks/test_attempts.py tests/ai_tasks/test_equal_requests.py "
        "tests/ai_tasks/test_housekeeping.py tests/ai_tasks/test_state_diagram.py tests/ai_tasks/test_budgets.py "
        "tests/ai_tasks/test_budget_limits.py tests/ai_tasks/test_outages.py",
    ),
    "page_cache": (
        "utils/page_cache",
        "tests/utils/test_page_cache.py tests/utils/test_page_cache_model.py tests/accounts/test_cached_pages.py "
        "tests/accounts/test_fast_reads.py tests/test_query_optimization.py tests/utils/test_page_budget.py "
        "tests/utils/test_outages.py",
    ),
    "admission": (
        "utils/admission",
        "tests/utils/test_throttling.py tests/utils/test_refusing_redis.py tests/accounts/test_sessions.py "
        "tests/accounts/test_fast_reads.py tests/accounts/test_before_django.py",
    ),
}
"""What is mutated, and the tests that are to notice."""
TEST_SECONDS = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--sample", type=int, default=20, help="mutants of each part (default: 20; 0: all, for hours)")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="mutants-"))
        stack.callback(shutil.rmtree, root)
        root.chmod(0o755)
        clone = root / "clone"
        make_clone(clone)
        manage = [".venv/bin/python", "manage.py", "embedded"]
        subprocess.run([*manage, "start"], cwd=clone, check=True, timeout=60)  # once, not for each mutant
        stack.callback(subprocess.run, [*manage, "stop"], cwd=clone, check=True, timeout=60)
        for part in options.parts or PARTS:
            mutate(clone, part, sample=options.sample, seed=options.seed)


def mutate(clone: Path, part: str, *, sample: int, seed: int) -> None:
    module, tests = PARTS[part]
    config, session = clone.parent / f"{part}.toml", clone.parent / f"{part}.sqlite"
    test_command = f'.venv/bin/pytest -x -q -p no:randomly --reuse-db -m \\"not slow\\" {tests}'
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {TEST_SECONDS}\nexcluded-modules = []\n'
        f'test-command = "{test_command}"\n\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    cosmic_ray(clone, "--verbosity", "ERROR", "baseline", str(config))  # fails if the tests do without a mutant
    cosmic_ray(clone, "init", str(config), str(session))
    total = keep_sample(session, sample, seed)
    cosmic_ray(clone, "exec", str(config), str(session))
    report(session, part, total)


def cosmic_ray(clone: Path, *arguments: str) -> None:
    subprocess.run([".venv/bin/cosmic-ray", *arguments], cwd=clone, check=True)


def keep_sample(session: Path, sample: int, seed: int) -> int:
    """Skip all mutants but some; how many there are in all."""
    with use_db(str(session)) as db:
        jobs = sorted((item for item in db.pending_work_items), key=lambda item: str(item.mutations))
        kept = random.Random(seed).sample(jobs, min(sample or len(jobs), len(jobs)))
        skipped = {item.job_id for item in jobs} - {item.job_id for item in kept}
        db.set_multiple_results(list(skipped), WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    return len(jobs)


def report(session: Path, part: str, total: int) -> None:
    with use_db(str(session)) as db:
        results = [result for _, result in db.results if result.worker_outcome != WorkerOutcome.SKIPPED]
    outcomes = Counter(result.test_outcome for result in results)
    for result in results:
        if result.test_outcome == TestOutcome.SURVIVED:
            print("\nNot noticed:", shortened(result.diff or ""), sep="\n")
    noticed = len(results) - outcomes[TestOutcome.SURVIVED]
    print(f"\n{part}: {noticed} of {len(results)} mutants were noticed ({total} are possible)", flush=True)


def shortened(diff: str) -> str:
    """The file and the changed lines."""
    lines: Sequence[str] = diff.splitlines()
    return "\n".join(line for line in lines if line.startswith(("+", "-", "@")))


if __name__ == "__main__":
    main()
