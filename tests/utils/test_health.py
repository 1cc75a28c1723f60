"""What the platform and operators are told."""

from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.utils import timezone

from tests.factories import AITaskFactory
from utils.redis.signs import WORKER_SILENCE_SECONDS, record_worker_heartbeat


def test_liveness_touches_nothing(client, dead_redis):
    response = client.get("/healthz/live")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready"])
def test_health_is_answered_under_an_ip_address_as_host(client, db, settings, path):
    settings.ALLOWED_HOSTS = ["api.example.com"]

    assert client.get(path, headers={"Host": "10.0.0.1:10000"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/docs/", "/healthz/", "/healthz/live/", "/admin/login/"])
def test_other_paths_are_refused_under_an_ip_address_as_host(client, db, settings, path):
    settings.ALLOWED_HOSTS = ["api.example.com"]

    assert client.get(path, headers={"Host": "10.0.0.1:10000"}).status_code == 400


def test_all_is_well_with_a_worker(client, db):
    record_worker_heartbeat("worker@one")
    record_worker_heartbeat("worker@one")

    assert client.get("/healthz/ready").json() == {
        "status": "ok",
        "redis": "ok",
        "workers": 1,
        "postgres": "ok",
        "pending_migrations": 0,
        "queue_age_seconds": None,
        "ai_providers": {},
    }


def test_without_a_worker_the_service_is_degraded_and_the_queue_ages(client, alice):
    AITaskFactory(user=alice, created_at=timezone.now() - timedelta(seconds=9000))

    response = client.get("/healthz/ready")

    assert response.status_code == 200
    body = response.json()
    assert (body["status"], body["workers"]) == ("degraded", 0)
    assert 9000 <= body["queue_age_seconds"] < 9300


def test_a_silent_worker_counts_as_dead(client, db):
    record_worker_heartbeat("worker@one")

    with time_machine.travel(timezone.now() + timedelta(seconds=WORKER_SILENCE_SECONDS + 1)):
        assert client.get("/healthz/ready").json()["workers"] == 0


def test_without_redis_the_service_is_degraded(client, db, dead_redis):
    response = client.get("/healthz/ready")

    assert response.status_code == 200
    assert (response.json()["status"], response.json()["redis"]) == ("degraded", "unavailable")


def test_without_postgres_the_service_is_not_ready(client, db):
    def refuse(execute, sql, params, many, context):
        raise OperationalError("the server is gone")

    with connection.execute_wrapper(refuse):
        response = client.get("/healthz/ready")

    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
    assert (response.json()["code"], response.json()["postgres"]) == ("unavailable", "unavailable")
