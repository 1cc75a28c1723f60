"""``python -m benchmarks cpu``: run one benchmark and print what it found."""

import argparse
import sys
import time

from benchmarks import cpu
from benchmarks.rows import COLUMNS, ROWS


def names(known: list[str]) -> "argparse._ActionType":
    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        return [name for name in known if name in chosen]

    return read


def run_cpu(options: argparse.Namespace) -> None:
    rows, columns = options.rows, options.columns
    if options.profile:
        rows, columns = [options.profile], ["ours"]
    result = cpu.run(rows=rows, columns=columns, rounds=options.rounds, profile=options.profile)
    if options.profile:
        print(result["profile"])
        return
    print(cpu.table(result), cpu.statements_table(result), sep="\n\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the service costs.")
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("cpu", help="CPU per request in the process, beside other ways to write the same")
    one.add_argument("--rows", type=names(list(ROWS)), default=list(ROWS), help="comma-separated (default: all)")
    one.add_argument("--columns", type=names(list(COLUMNS)), default=list(COLUMNS), help="comma-separated")
    one.add_argument("--rounds", type=int, default=cpu.MINIMUM_ROUNDS)
    one.add_argument("--profile", choices=list(ROWS), help="profile ours in this row instead")
    one.set_defaults(run=run_cpu)

    options = parser.parse_args()
    started = time.monotonic()
    options.run(options)
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
