"""``python -m tests.mutants``: mutate the code where a mistake costs most, by cosmic-ray, in a clone of HEAD."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from difflib import unified_diff
from itertools import islice
from math import sqrt
from pathlib import Path
from typing import Any

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import use_db
from cosmic_ray.work_item import MutationSpec

from tests.contributing.__main__ import make_clone
from tests.mutants.forks import JOBS
from tests.mutants.selection import Runs, is_in_annotation, is_in_function

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
        "tests/utils/test_page_cache.py tests/utils/test_page_cache_edges.py tests/utils/test_page_cache_model.py "
        "tests/accounts/test_cached_pages.py tests/accounts/test_fast_reads.py tests/test_query_optimization.py "
        "tests/utils/test_page_budget.py tests/utils/test_outages.py",
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
OF_MUTANTS = ("-x", "--tb=no", "--timeout=100", "-p", "no:cacheprovider")
PASSED, TESTS_FAILED = 0, 1
NOT_IMPORTED = (2, 4)
"""Exit codes of pytest where a test module, or a conftest, cannot import the mutated module."""


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
    measured = ["--cov", package, "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    subprocess.run([*PYTEST, *measured, *tests.split()], check=True)  # fails if the tests do without a mutant
    runs = Runs(Path(".coverage"))
    random.Random(seed).shuffle(every)
    possible = (job for mutant in every if is_python((job := job_of(mutant, runs))["source"]))
    jobs = list(islice(possible, sample or None))
    run_forks([job for job in jobs if job["is_in_function"]], tests)
    for job in jobs:
        if not job["is_in_function"]:
            run_anew(job)
    for job in jobs:
        report(job)
    noticed = sum(job["code"] != PASSED for job in jobs)
    not_imported = sum(job["code"] in NOT_IMPORTED for job in jobs)
    low, high = wilson(noticed, len(jobs))
    print(
        f"\n{part}: {noticed} of {len(jobs)} mutants were noticed, {not_imported} of them as they cannot be imported; "
        f"{len(every)} are possible; "
        f"95 % interval: {low:.0%} to {high:.0%}\n",
        flush=True,
    )


def all_mutants(part: str, package: str) -> list[MutationSpec]:
    config, session = Path(f"../{part}.toml"), Path(f"../{part}.sqlite")
    config.write_text(
        f'[cosmic-ray]\nmodule-path = "{package}"\ntimeout = 1\nexcluded-modules = []\n'
        'test-command = "not used"\n\n[cosmic-ray.distributor]\nname = "local"\n'
    )
    subprocess.run([".venv/bin/cosmic-ray", "init", str(config), str(session)], check=True)
    with use_db(str(session)) as db:
        mutants = sorted((mutant for item in db.pending_work_items for mutant in item.mutations), key=str)
    sources = {mutant.module_path: mutant.module_path.read_text(encoding="utf-8") for mutant in mutants}
    return [mutant for mutant in mutants if not is_in_annotation(sources[mutant.module_path], *mutant.start_pos)]


def job_of(mutant: MutationSpec, runs: Runs) -> dict[str, Any]:
    before = mutant.module_path.read_text(encoding="utf-8")
    operator = get_operator(mutant.operator_name)(**mutant.operator_args)
    line = mutant.start_pos[0]
    return {
        "module": str(mutant.module_path),
        "line": line,
        "before": before,
        "source": mutate_code(before, operator, mutant.occurrence),
        "tests": runs.of(mutant.module_path, line),
        "is_in_function": is_in_function(before, line),
    }


def is_python(source: str) -> bool:
    """Of ``{**a}`` cosmic-ray makes ``{*a, "b": c}``, too."""
    try:
        compile(source, "", "exec")
    except SyntaxError:
        return False
    return True


def run_forks(jobs: list[dict[str, Any]], tests: str) -> None:
    """Test these, and then the code as it is: had a test left something behind, all after it would count as noticed."""
    listed = Path("../jobs.json")
    unchanged = [{**job, "source": job["before"]} for job in jobs[:1]]
    listed.write_text(json.dumps([*jobs, *unchanged]))
    command = [*PYTEST, *OF_MUTANTS, "-p", "tests.mutants.forks", *tests.split()]
    subprocess.run(command, env={**os.environ, JOBS: str(listed)}, check=True)
    *done, last = json.loads(listed.read_text()) if jobs else [{"code": PASSED}]
    if last["code"] != PASSED:
        sys.exit("The tests fail without a mutant, too, by now: their database is not as they need it.")
    for job, tested in zip(jobs, done, strict=True):
        job["code"] = tested["code"]


def run_anew(job: dict[str, Any]) -> None:
    """In a new process: the mutant is of what a module does at its import."""
    module, listed = Path(job["module"]), Path("../tests.txt")
    listed.write_text("\n".join(job["tests"]))
    module.write_text(job["source"], encoding="utf-8")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # the next one may come within a tick of the clock
    try:
        job["code"] = subprocess.run([*PYTEST, *OF_MUTANTS, f"@{listed}"], env=environment, check=False).returncode
    finally:
        module.write_text(job["before"], encoding="utf-8")


def report(job: dict[str, Any]) -> None:
    if job["code"] not in (PASSED, TESTS_FAILED, *NOT_IMPORTED):
        sys.exit(f"{job['module']}:{job['line']}: pytest ended with {job['code']}")
    if job["code"] == PASSED:
        print(f"\n{job['module']}:{job['line']}: not noticed by {len(job['tests'])} tests")
        lines = unified_diff(job["before"].splitlines(), job["source"].splitlines(), n=0, lineterm="")
        print(*islice(lines, 2, None), sep="\n")


def wilson(noticed: int, sampled: int) -> tuple[float, float]:
    """The score interval of 95 % for a share."""
    z, share = 1.96, noticed / sampled
    middle = share + z * z / (2 * sampled)
    half = z * sqrt(share * (1 - share) / sampled + z * z / (4 * sampled**2))
    return (middle - half) / (1 + z * z / sampled), (middle + half) / (1 + z * z / sampled)


if __name__ == "__main__":
    main()
