"""A Redis that refuses writes ends no worker and no beat; when it is well, both go on by themselves."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from ai_tasks.models import AITask
from NoteAssist_AI.embedded.servers import Redis
from tests.factories import AITaskFactory
from tests.processes import BIN, Process, running, running_worker, wait_until
from tests.refusing_redis import REFUSALS, refusing_writes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(500)]

REFUSED_SECONDS = 4
ENVIRONMENT = {"AI_BASE_URL": "", "AI_API_KEY": "", "AI_SWEEP_SECONDS": "1", "CELERY_BROKER_URL": ""}
CELERY = [str(BIN / "celery"), "-A", "NoteAssist_AI"]


class Product:
    def __init__(self, server: Redis, worker: Process, beat: Process) -> None:
        self.server, self.worker, self.beat = server, worker, beat

    def does_its_work(self, alice) -> None:
        """Beat sends the sweep, a worker carries it out, and the task that it sends."""
        task = AITaskFactory(user=alice, request_data={"topic": "Loops", "level": "beginner"})
        wait_until(lambda: AITask.objects.get(pk=task.pk).status == "succeeded", 120, self.outputs)
        assert self.are_there(), self.outputs()

    def are_there(self) -> bool:
        return self.worker.is_running and self.beat.is_running

    def outputs(self) -> str:
        return f"worker:\n{self.worker.output}\nbeat:\n{self.beat.output}"


@contextmanager
def product(server: Redis, directory: Path, *, is_awaited: bool = True) -> Iterator[Product]:
    beat = [*CELERY, "beat", "--schedule", str(directory / "schedule"), "--loglevel", "INFO"]
    with ExitStack() as until_the_end:
        worker = until_the_end.enter_context(
            running_worker(directory / "worker.log", is_awaited=is_awaited, **ENVIRONMENT)
        )
        yield Product(server, worker, until_the_end.enter_context(running(beat, directory / "beat.log", **ENVIRONMENT)))


def stays_there(product: Product, seconds: float) -> None:
    with pytest.raises(AssertionError, match="waited"):
        wait_until(lambda: not product.are_there(), seconds)


def test_a_redis_that_begins_to_refuse_writes_is_waited_for(alice, own_redis, tmp_path):
    with product(own_redis, tmp_path) as there:
        there.does_its_work(alice)
        for kind in REFUSALS:
            with refusing_writes(own_redis, kind):
                stays_there(there, REFUSED_SECONDS)
            there.does_its_work(alice)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_redis_that_refuses_writes_from_the_start_is_waited_for(alice, own_redis, tmp_path, kind):
    with ExitStack() as refusing:
        refusing.enter_context(refusing_writes(own_redis, kind))
        with product(own_redis, tmp_path, is_awaited=False) as there:
            stays_there(there, 3 * REFUSED_SECONDS)
            refusing.close()
            there.does_its_work(alice)


def test_a_blocked_read_that_is_ended_by_the_server_ends_no_worker(alice, own_redis, tmp_path):
    with product(own_redis, tmp_path) as there, redis.Redis.from_url(own_redis.url) as client:
        for _ in range(20):
            for each in client.client_list():
                client.client_unblock(each["id"], error=True)
        there.does_its_work(alice)
