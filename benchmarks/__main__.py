"""``python -m benchmarks cpu``: run one benchmark and print what it found."""

import argparse
import signal
import sys
import time
from importlib.util import find_spec

from benchmarks import (
    celery_load,
    cpu,
    growth,
    hostile_bodies,
    load,
    report,
    slow3g,
    stories,
    streams,
    throughput,
    unloaded,
    wire,
)
from benchmarks.rows import COLUMNS, ROWS


def names(known: list[str]) -> "argparse._ActionType":
    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
        return [name for name in known if name in chosen]

    return read


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def run_cpu(options: argparse.Namespace) -> None:
    rows, columns = options.rows, options.columns
    if options.profile:
        rows, columns = [options.profile], ["ours"]
    result = cpu.run(rows=rows, columns=columns, rounds=options.rounds, profile=options.profile)
    if options.profile:
        print(result["profile"])
        return
    print(cpu.table(result), cpu.statements_table(result), sep="\n\n")


def run_wire(options: argparse.Namespace) -> None:
    seconds, rounds = (wire.QUICK_SECONDS, wire.QUICK_ROUNDS) if options.quick else (wire.SECONDS, wire.ROUNDS)
    rounds = options.rounds or rounds
    print(wire.table(wire.run(rows=options.rows, columns=options.columns, rounds=rounds, seconds=seconds)))


def run_load(options: argparse.Namespace) -> None:
    load.run_load(connections=options.connections, rates=options.rates, seconds=options.seconds, runs=options.runs)


def run_storm(options: argparse.Namespace) -> None:
    load.run_storm(connections=options.connections, runs=options.runs)


def run_growth(options: argparse.Namespace) -> None:
    result = growth.run(per_user=options.per_user, in_all=options.in_all)
    print(growth.table(result, "per_user"), growth.table(result, "in_all"), sep="\n\n")


def run_celery(options: argparse.Namespace) -> None:
    print(celery_load.summary(celery_load.run(drained=options.drained)))


def run_slow3g(_: argparse.Namespace) -> None:
    print(slow3g.table(slow3g.run()))


def run_unloaded(_: argparse.Namespace) -> None:
    print(unloaded.table(unloaded.run()))


def run_throughput(_: argparse.Namespace) -> None:
    if result := throughput.run():
        print(throughput.table(result), flush=True)


def run_hostile_bodies(_: argparse.Namespace) -> None:
    print(hostile_bodies.table(hostile_bodies.run()))


def run_streams(options: argparse.Namespace) -> None:
    print(streams.table(streams.run(options.streams)))


def run_stories(options: argparse.Namespace) -> None:
    document = stories.run()
    if options.path:
        print(*document["stories"][options.path]["path"], sep="\n", end="\n\n")
    print(stories.table(document))


def run_report(_: argparse.Namespace) -> None:
    print("docs/performance.md now shows", ", ".join(report.write()))


def run_quick(_: argparse.Namespace) -> None:
    """Smaller loads than those of the report: their results stay out of it, where they are not complete."""
    print(cpu.table(cpu.run(rows=list(ROWS), columns=installed_columns(), rounds=cpu.MINIMUM_ROUNDS)), flush=True)
    print(unloaded.table(unloaded.run()), flush=True)
    print(slow3g.table(slow3g.run()), flush=True)
    run_throughput(_)
    load.run_load(connections=1000, rates=[300], seconds=20, runs=1)
    load.run_storm(connections=1000, runs=1)
    result = growth.run(per_user=[50, 5_000], in_all=[1_000, 100_000])
    print(growth.table(result, "per_user"), growth.table(result, "in_all"), sep="\n\n", flush=True)
    print(celery_load.summary(celery_load.run(drained=celery_load.CONCURRENCY)), flush=True)
    print(streams.table(streams.run([1000], with_worker=False)), flush=True)
    run_report(_)


def installed_columns() -> list[str]:
    """All columns, but for FastAPI's where benchmarks/requirements.txt is not installed."""
    return [column for column in COLUMNS if column != "fastapi" or find_spec("fastapi")]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the service costs.")
    commands = parser.add_subparsers(dest="command", required=True)

    one = commands.add_parser("cpu", help="CPU per request in the process, compared with other implementations")
    one.add_argument("--rows", type=names(list(ROWS)), default=list(ROWS), help="comma-separated (default: all)")
    one.add_argument("--columns", type=names(list(COLUMNS)), default=installed_columns(), help="comma-separated")
    one.add_argument("--rounds", type=int, default=cpu.MINIMUM_ROUNDS)
    one.add_argument("--profile", choices=list(ROWS), help="profile ours in this row instead")
    one.set_defaults(run=run_cpu)

    one = commands.add_parser("wire", help="CPU per request of server, PostgreSQL and Redis, by wrk")
    one.add_argument("--rows", type=names(list(wire.ROWS)), default=list(wire.ROWS), help="comma-separated")
    one.add_argument("--columns", type=names(list(wire.COLUMNS)), default=list(wire.COLUMNS), help="comma-separated")
    one.add_argument("--quick", action="store_true", help="fewer and shorter rounds: one row is done in a minute")
    one.add_argument("--rounds", type=int, help=f"default: {wire.ROUNDS}, of {wire.SECONDS} seconds a cell")
    one.set_defaults(run=run_wire)

    one = commands.add_parser("load", help="a student's mix of requests on thousands of open connections")
    one.add_argument("--connections", type=int, default=10_000)
    one.add_argument("--rates", type=numbers, default=[300, 750, 1100], help="requests a second, comma-separated")
    one.add_argument("--seconds", type=float, default=60)
    one.add_argument("--runs", type=int, default=3)
    one.set_defaults(run=run_load)

    one = commands.add_parser("storm", help="thousands of clients connect within a second")
    one.add_argument("--connections", type=int, default=10_000)
    one.add_argument("--runs", type=int, default=3)
    one.set_defaults(run=run_storm)

    one = commands.add_parser("growth", help="the cost of a request among ever more notes")
    one.add_argument("--per-user", type=whole_numbers, default=[50, 500, 5_000, 50_000])
    one.add_argument("--in-all", type=whole_numbers, default=[1_000, 10_000, 100_000, 1_000_000])
    one.set_defaults(run=run_growth)

    one = commands.add_parser("celery", help="AI tasks: submit, start, many at once, drain")
    one.add_argument("--drained", type=int, default=celery_load.DRAINED_TASKS)
    one.set_defaults(run=run_celery)

    one = commands.add_parser("slow3g", help="bytes of a first visit, and their time on a slow link")
    one.set_defaults(run=run_slow3g)

    one = commands.add_parser("unloaded", help="milliseconds of one client on an idle server; memory of the processes")
    one.set_defaults(run=run_unloaded)

    one = commands.add_parser("throughput", help="requests a second at most, by wrk where that is installed")
    one.set_defaults(run=run_throughput)

    one = commands.add_parser("hostile_bodies", help="CPU of bodies that are made to cost as much as they can")
    one.set_defaults(run=run_hostile_bodies)

    one = commands.add_parser("streams", help="idle event streams, and what they cost a task")
    one.add_argument("--streams", type=whole_numbers, default=list(streams.COUNTS), help="comma-separated")
    one.set_defaults(run=run_streams)

    one = commands.add_parser("stories", help="how many files a reader passes who follows a request through the code")
    one.add_argument("--path", choices=list(stories.TITLES), help="print the moves of this story, too")
    one.set_defaults(run=run_stories)

    one = commands.add_parser("report", help="put the newest results into docs/performance.md")
    one.set_defaults(run=run_report)

    one = commands.add_parser("quick", help="what `make bench` runs: the parts that take a minute or two")
    one.set_defaults(run=run_quick)

    options = parser.parse_args()
    # So that servers are stopped and engines left also when somebody ends the benchmark.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    started = time.monotonic()
    options.run(options)
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
