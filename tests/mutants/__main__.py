"""``python -m tests.mutants``: mutate the code where a mistake costs most, by cosmic-ray, in a clone of HEAD."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from math import sqrt
from pathlib import Path

from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec

from tests.contributing.__main__ import make_clone
from tests.mutants.selection import Runs

PARTS = {
    "ledger": (
        "ai_tasks/ledger",
        "tests/ai_tasks/test_ledger_submission.py tests/ai_tasks/test_ledger_control.py "
        "tests/ai_tasks/test_ledger_attempts.py tests/ai_tasks/test_ledger_facts.py tests/ai_tasks/test_attempts.py "
        "tests/ai_tasks/test_equal_requests.py tests/ai_tasks/test_housekeeping.py "
        "tests/ai_tasks/test_state_diagram.py tests/ai_tasks/test_budgets.py tests/ai_tasks/test_budget_limits.py "
        "tests/ai_tasks/test_outages.py tests/ai_tasks/test_refusing_broker.py tests/ai_tasks/test_api.py "
        "tests/ai_tasks/proposals",
    ),
    "page_cache": (
        "utils/page_cache",
        "tests/utils/test_page_cache.py tests/utils/test_page_cache_model.py tests/accounts/test_cached_pages.py "
        "tests/accounts/test_fast_reads.py tests/test_query_optimization.py tests/utils/test_page_budget.py "
        "tests/utils/test_outages.py",
    ),
    "admission": (
        "utils/admission",
        "tests/utils/test_throttling.py tests/utils/test_limits_told.py tests/utils/test_refusing_redis.py "
        "tests/accounts/test_sessions.py tests/accounts/test_login_throttle.py tests/accounts/test_fast_reads.py "
        "tests/accounts/test_before_django.py tests/files/test_attachments.py tests/test_http.py",
    ),
}
"""What is mutated, and the tests that are to notice."""
PYTEST = (".venv/bin/pytest", "-q", "-p", "no:randomly", "--reuse-db", "-m", "not slow")
TEST_SECONDS = 300.0
_TESTS_FAILED, _INTERRUPTED = 1, 2  # exit codes of pytest; the mutated code could not be imported


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
        os.chdir(clone)
        manage = [".venv/bin/python", "manage.py", "embedded"]
        subprocess.run([*manage, "start"], check=True, timeout=60)  # once, not for each mutant
        stack.callback(subprocess.run, [*manage, "stop"], check=True, timeout=60)
        for part in options.parts or PARTS:
            mutate(part, sample=options.sample, seed=options.seed)


def mutate(part: str, *, sample: int, seed: int) -> None:
    package, tests = PARTS[part]
    every = all_mutants(part, package)
    kept = random.Random(seed).sample(every, min(sample or len(every), len(every)))
    measured = ["--cov", package, "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    subprocess.run([*PYTEST, *measured, *tests.split()], check=True)  # fails if the tests do without a mutant
    runs = Runs(Path(".coverage"))
    noticed = 0
    for number, mutant in enumerate(kept, 1):
        where = f"{mutant.module_path}:{mutant.start_pos[0]}"
        is_noticed = notices(mutant, runs.of(mutant.module_path, mutant.start_pos[0]))
        noticed += is_noticed
        print(f"{number} of {len(kept)}, {where}: {'' if is_noticed else 'NOT '}noticed", flush=True)
    low, high = wilson(noticed, len(kept))
    print(
        f"\n{part}: {noticed} of {len(kept)} mutants were noticed, of {len(every)} that are possible; "
        f"95 % interval: {low:.0%} to {high:.0%}\n",
        flush=True,
    )


def all_mutants(part: str, package: str) -> list[MutationSpec]:
    config, session = Path(f"../{part}.toml"), Path(f"../{part}.sqlite")
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{package}"\ntimeout = {TEST_SECONDS}\nexcluded-modules = []\n'
        'test-command = "not used"\n\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    subprocess.run([".venv/bin/cosmic-ray", "init", str(config), str(session)], check=True)
    with use_db(str(session)) as db:
        return sorted((mutant for item in db.pending_work_items for mutant in item.mutations), key=str)


def notices(mutant: MutationSpec, tests: list[str]) -> bool:
    """Whether one of the tests fails, or takes for ever, with this mutant. Prints the mutant if none does."""
    listed = Path("../tests.txt")
    listed.write_text("\n".join(tests))
    operator = get_operator(mutant.operator_name)(**mutant.operator_args)
    with use_mutation(mutant.module_path, operator, mutant.occurrence) as (before, after):
        try:
            code, output = run_pytest(f"@{listed}") if tests else (0, "")
        except subprocess.TimeoutExpired:
            return True
    if code in (_TESTS_FAILED, _INTERRUPTED):
        print(*(line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))), sep="\n")
        return True
    if code:
        sys.exit(f"pytest ended with {code}:\n{output}")
    changed = zip(before.splitlines(), after.splitlines(), strict=False)
    print(f"By none of {len(tests)} tests:", *(f"- {old}\n+ {new}" for old, new in changed if old != new), sep="\n")
    return False


def run_pytest(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [*PYTEST, "-x", *arguments],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # a mutant may come within the clock tick of the one before
        stdout=subprocess.PIPE,
        text=True,
        timeout=TEST_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout


def wilson(noticed: int, sampled: int) -> tuple[float, float]:
    """The score interval of 95 % for a share."""
    z, share = 1.96, noticed / sampled
    middle = share + z * z / (2 * sampled)
    half = z * sqrt(share * (1 - share) / sampled + z * z / (4 * sampled**2))
    return (middle - half) / (1 + z * z / sampled), (middle + half) / (1 + z * z / sampled)


if __name__ == "__main__":
    main()
