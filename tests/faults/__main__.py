"""The long form: ``python -m tests.faults``, which ``make chaos`` runs."""

import argparse
import logging
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "NoteAssist_AI.settings")
django.setup()  # what is checked is read with the project's own code, which imports models

from tests.faults.plan import LONG, SHORT  # noqa: E402
from tests.faults.run import run  # noqa: E402

logger = logging.getLogger("faults")


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill everything at random and check that nothing is lost.")
    parser.add_argument("--short", action="store_true", help="as much as the test does")
    parser.add_argument("--tasks", type=int, help="how many tasks the clients submit")
    parser.add_argument("--seed", type=int, help="of an earlier run, to make the same choices")
    parser.add_argument("--output", type=Path, help="write the report to this file, too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing outlives the run, however it ends
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sizes = SHORT if options.short else LONG
    if options.tasks:
        sizes = replace(sizes, tasks=options.tasks)
    report = run(sizes, options.seed)
    logger.info("report\n%s", report.text())
    if options.output:
        options.output.write_text(report.text())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
