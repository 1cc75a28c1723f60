"""``python -m tests.contributing``: see the package."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.contributing.document import Commit, Outdated, Run, read_steps

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS = 900
SUBJECT_MAX_LENGTH = 50


def main() -> None:
    parser = argparse.ArgumentParser(prog="make contributing-check", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the clone where it is, to look at")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the clone is removed then, too
    root = Path(tempfile.mkdtemp(prefix="contributing-"))
    root.chmod(0o755)  # as root, PostgreSQL runs as another user, who must reach it
    clone = root / "clone"
    try:
        make_clone(clone)
        carry_out(clone)
    except Outdated as failure:
        print(f"\n{failure}\n\nmake contributing-check: FAILED", file=sys.stderr)
        sys.exit(1)
    finally:
        if options.keep:
            print(f"The clone is {clone}.")
        else:
            shutil.rmtree(root)
    print("make contributing-check: passed")


def make_clone(clone: Path) -> None:
    """HEAD alone, with the checkout's own packages: nothing is installed, so no network is needed."""
    git = ["git", "clone", "--quiet", "--no-hardlinks", "--depth", "1", f"file://{CHECKOUT}", str(clone)]
    subprocess.run(git, check=True, timeout=60)
    if subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=CHECKOUT, check=False, timeout=60).returncode:
        print("There are changes that are not committed: they are not in the clone.", file=sys.stderr)
    clone.joinpath(".venv").symlink_to(Path(sys.prefix))
    for requirements in clone.glob("requirements*.txt"):
        os.utime(requirements, (0, 0))  # older than .venv/.installed, which stands for them


def carry_out(clone: Path) -> None:
    steps = read_steps((clone / "CONTRIBUTING.md").read_text())
    if not any(isinstance(step, Run) for step in steps):
        raise Outdated(
            "CONTRIBUTING.md has no '## Worked example' with a command in it: there is nothing to carry out."
        )
    commit: Callable[[], None] = lambda: None  # noqa: E731  # nothing is there to be committed yet
    for step in steps:
        if isinstance(step, Commit):
            commit()
            if len(step.subject) > SUBJECT_MAX_LENGTH:
                raise step.outdated(f"a subject has at most {SUBJECT_MAX_LENGTH} characters: {step.subject!r}")
            print(f"{step.subject}", flush=True)
            commit = committer(clone, step.subject)
        elif isinstance(step, Run):
            run(clone, step)
        else:
            step.apply(clone)
    commit()


def run(clone: Path, step: Run) -> None:
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    print(f"  $ {step.command}  ({time.monotonic() - started:.0f} s)", flush=True)
    if done.returncode:
        raise step.outdated(f"`{step.command}` failed:\n\n{done.stdout[-10_000:]}")


def committer(clone: Path, subject: str) -> Callable[[], None]:
    def commit() -> None:
        author = ["-c", "user.name=A contributor", "-c", "user.email=contributor@example.com"]
        subprocess.run(["git", "add", "--all"], cwd=clone, check=True, timeout=60)
        git = ["git", *author, "commit", "--quiet", "--no-verify", "-m", subject]
        subprocess.run(git, cwd=clone, check=True, timeout=60)

    return commit


if __name__ == "__main__":
    main()
