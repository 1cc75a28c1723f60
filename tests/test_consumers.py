"""The ``worker`` line: two consumers, which begin and end together."""

import signal
import time

import psutil
import pytest
from django.db import connection

from accounts.models import PasswordReset
from ai_tasks.models import AITask
from NoteAssist_AI.consumers import connection_shares
from tests.conftest import client_of
from tests.factories import AITaskFactory
from tests.openai_server import running_server
from tests.processes import Process, environment_of_this_test, running_worker, wait_until
from tests.smtp_sink import running_smtp_sink
from utils.redis.broker import publish
from utils.redis.signs import workers_alive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

SWEEP = "ai_tasks.sweep"


def other_consumer(worker: Process) -> psutil.Process:
    (child,) = psutil.Process(worker.pid).children()
    return child


def test_slow_ai_calls_hold_up_neither_a_mail_nor_a_sweep(alice, tmp_path, no_limits):
    client = client_of(alice)
    with running_server() as provider, running_smtp_sink() as mail:
        provider.state.default = "hang"
        environment = {"AI_BASE_URL": provider.base_url, "AI_MODEL": "m", "EMAIL_URL": mail.url}
        with running_worker(tmp_path / "worker.log", AI_WORKER_CONCURRENCY="2", **environment):
            for number in range(8):  # all slots, all that the consumer takes beforehand, and more
                body = {"request_type": "generate_explanation", "request_data": {"topic": f"Loops {number}"}}
                assert client.post("/api/ai/tasks/", body, format="json").status_code == 202
            wait_until(lambda: AITask.objects.filter(status="running").count() == 2)

            lost = AITaskFactory(user=alice, published_at=None)
            assert client.post("/api/auth/password/reset/", {"email": alice.email}, format="json").status_code == 204
            assert publish(SWEEP)

            wait_until(lambda: bool(mail.mails))
            wait_until(lambda: PasswordReset.objects.get().mailed_at is not None)
            wait_until(lambda: AITask.objects.get(pk=lost.pk).published_at is not None)
            assert AITask.objects.filter(status="running").count() == 2
            assert AITask.objects.exclude(status="running").count() == 7


@pytest.mark.parametrize(("of_worker", "shares"), [(1, (1, 1)), (2, (1, 1)), (4, (2, 2)), (8, (4, 4)), (16, (12, 4))])
def test_both_consumers_share_the_connections_of_a_worker(of_worker, shares):
    assert connection_shares(of_worker) == shares


def test_a_worker_takes_no_more_connections_than_its_share(alice, tmp_path, no_limits):
    with running_worker(tmp_path / "worker.log", DB_POOL_MAX="2", DATABASE_URL=url_of("noteassist-worker")) as worker:
        AITaskFactory.create_batch(30, user=alice, request_data={"topic": "Loops", "level": "beginner"})
        for _ in range(10):
            publish(SWEEP)
        seen = []

        def all_succeeded() -> bool:
            with connection.cursor() as cursor:
                of_worker = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'noteassist-worker'"
                cursor.execute(of_worker)
                seen.append(cursor.fetchone()[0])
            return AITask.objects.filter(status="succeeded").count() == 30

        wait_until(all_succeeded, 120, lambda: worker.output)
    assert max(seen) == 2


def url_of(application: str) -> str:
    url = environment_of_this_test()["DATABASE_URL"]
    return f"{url}{'&' if '?' in url else '?'}application_name={application}"


def test_a_worker_is_one_worker_however_many_consumers_it_has(alice, tmp_path):
    with running_worker(tmp_path / "worker.log"):
        wait_until(lambda: workers_alive() == 1)
        time.sleep(3)  # longer than it takes the other consumer to tell of itself
        assert workers_alive() == 1


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_both_consumers_end_in_order(alice, tmp_path, signum):
    with running_worker(tmp_path / "worker.log") as worker:
        other = other_consumer(worker)

        worker.send(signum)

        assert worker.wait(90) == 0, worker.output
        assert not other.is_running()
    assert "Traceback" not in worker.output


def test_the_end_of_one_consumer_is_the_end_of_both(alice, tmp_path):
    with running_worker(tmp_path / "worker.log") as worker:
        other_consumer(worker).kill()

        assert worker.wait(90) == 1, worker.output
    assert "The consumer of other tasks has ended with -9" in worker.output


def test_a_killed_worker_leaves_no_consumer_behind(alice, tmp_path):
    with running_worker(tmp_path / "worker.log") as worker:
        other = other_consumer(worker)

        psutil.Process(worker.pid).kill()

        worker.wait(60)
        wait_until(lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE, 90, lambda: worker.output)
