"""Who starts the embedded engines, who shares them and who stops them: with real processes throughout."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from NoteAssist_AI.embedded import Status
from tests.embedded.conftest import PROJECT, alive, environment_of, main_processes, wait_until

BOTH = ["postgresql", "redis"]


def servers_running(engines):
    """Main processes whose command line leads to these engines, by name."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "ppid"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(engines.sockets) in line and not process.info["name"].startswith("python"):
            found.append(process.info["name"])
    return sorted(found)


def test_processes_that_start_at_once_share_one_pair_of_engines(new_engines, start_user):
    users = [start_user(new_engines) for _ in range(4)]

    urls = [user.urls() for user in users]

    assert urls == [[new_engines.postgres.url, new_engines.redis.url]] * 4
    assert servers_running(new_engines) == ["postgres", "redis-server"]
    for user in users:
        user.leave()
    assert servers_running(new_engines) == []


def test_the_last_user_to_leave_stops_them(engines, start_user):
    first, second = start_user(engines), start_user(engines)
    first.urls(), second.urls()

    first.leave()
    assert alive(engines) == BOTH
    second.leave()
    assert alive(engines) == []


def test_a_second_user_attaches_to_what_runs(engines, start_user):
    first = start_user(engines)
    first.urls()
    started = main_processes(engines)

    second = start_user(engines)

    assert second.urls() == [engines.postgres.url, engines.redis.url]
    assert main_processes(engines) == started


def test_a_killed_user_leaves_them_running_for_the_others(engines, start_user):
    killed, other = start_user(engines), start_user(engines)
    killed.urls(), other.urls()

    killed.kill()
    assert alive(engines) == BOTH
    other.leave()
    assert alive(engines) == []


def test_what_a_killed_user_left_is_shared_and_stopped_by_the_next(engines, start_user):
    killed = start_user(engines)
    killed.urls()
    started = main_processes(engines)
    killed.kill()
    assert alive(engines) == BOTH

    later = start_user(engines)
    later.urls()
    assert main_processes(engines) == started
    later.leave()
    assert alive(engines) == []


def test_a_child_that_inherited_the_urls_is_a_user_of_its_own(engines, start_user):
    parent = start_user(engines)
    database_url, redis_url = parent.urls()
    child = start_user(engines, DATABASE_URL=database_url, REDIS_URL=redis_url.replace("db=0", "db=5"))
    assert child.urls() == [database_url, redis_url.replace("db=0", "db=5")]

    parent.leave()
    assert alive(engines) == BOTH
    child.leave()
    assert alive(engines) == []


FORKING_USER = """
import os, sys
from NoteAssist_AI import embedded
embedded.ensure()
child = os.fork()
if child == 0:
    sys.stdin.readline()
    print("child leaves", flush=True)
    sys.exit()
os.waitpid(child, 0)
print("parent stays", flush=True)
sys.stdin.read()
"""


def test_a_forked_child_that_leaves_does_not_stop_them_under_its_parent(engines, start_user):
    user = start_user(engines, script=FORKING_USER)
    user.process.stdin.write("\n")
    user.process.stdin.flush()

    assert user.process.stdout.readline() == "child leaves\n"
    assert user.process.stdout.readline() == "parent stays\n"
    assert alive(engines) == BOTH
    user.leave()
    assert alive(engines) == []


ABANDONING_USER = """
import os, sys
from NoteAssist_AI import embedded
embedded.ensure()
if os.fork() == 0:
    sys.stdin.read()
"""


def test_a_forked_child_keeps_them_after_its_parent(engines, start_user):
    user = start_user(engines, script=ABANDONING_USER)
    assert user.process.wait(timeout=90) == 0

    assert alive(engines) == BOTH
    user.process.stdin.close()
    wait_until(lambda: alive(engines) == [])


@pytest.mark.parametrize("forced", [signal.SIGKILL, signal.SIGTERM])
def test_crashed_engines_are_started_again(engines, start_user, forced):
    user = start_user(engines)
    user.urls()
    for pid in main_processes(engines):
        os.kill(pid, forced)
    # After a crash or a reboot the file may name any process, such as this one.
    wait_until(lambda: alive(engines) == [])
    engines.postgres.pid_path.write_text(f"{os.getpid()}\n{engines.postgres.data}\n1\n5432\n/tmp\n\n1 1\nready\n")

    assert start_user(engines).urls() == [engines.postgres.url, engines.redis.url]

    assert alive(engines) == BOTH


@pytest.mark.slow
def test_a_starter_killed_at_any_moment_leaves_nothing_that_stops_the_next(new_engines, start_user):
    for milliseconds in range(50, 1000, 100):
        killed = start_user(new_engines)
        time.sleep(milliseconds / 1000)
        killed.kill()

    user = start_user(new_engines)

    assert user.urls() == [new_engines.postgres.url, new_engines.redis.url]
    assert servers_running(new_engines) == ["postgres", "redis-server"]


def test_only_the_missing_engine_is_embedded(engines, start_user):
    user = start_user(engines, DATABASE_URL="postgresql://db.example.com/notes")

    assert user.urls() == ["postgresql://db.example.com/notes", engines.redis.url]
    assert alive(engines) == ["redis"]


def manage(engines, *arguments):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment_of(engines),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_keeps_them_running_until_it_stops_them(engines, start_user):
    started = manage(engines, "embedded", "start")
    assert started.returncode == 0, started.stderr
    assert engines.status() == Status(running={"postgresql": True, "redis": True}, in_use=False, kept=True)

    user = start_user(engines)
    user.urls()
    user.leave()
    assert alive(engines) == BOTH

    assert manage(engines, "embedded", "stop").returncode == 0
    assert alive(engines) == []
    assert not engines.sockets.exists()


def test_the_command_tells_how_they_are_and_starts_nothing_by_it(engines):
    answer = manage(engines, "embedded", "status")

    assert answer.stdout.splitlines() == [
        "postgresql: stopped",
        "redis: stopped",
        "in use: no",
        "kept until `embedded stop`: no",
    ]


def test_the_command_does_not_stop_them_under_a_user(engines, start_user):
    manage(engines, "embedded", "start")
    user = start_user(engines)
    user.urls()

    refused = manage(engines, "embedded", "stop")

    assert refused.returncode == 1
    assert "in use" in refused.stderr
    assert alive(engines) == BOTH
    user.leave()
    assert alive(engines) == []


def test_engines_are_not_kept_past_a_crash(engines, start_user):
    manage(engines, "embedded", "start")
    for pid in main_processes(engines):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: alive(engines) == [])

    user = start_user(engines)
    user.urls()
    user.leave()

    assert alive(engines) == []
