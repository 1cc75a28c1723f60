"""Ways in which a Redis that answers refuses writes, and how it gets well again."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from NoteAssist_AI.embedded.servers import Redis
from tests.processes import wait_until


def _fill(client: redis.Redis, server: Redis) -> None:
    client.config_set("maxmemory", 1000)


def _make_room(client: redis.Redis, server: Redis) -> None:
    client.config_set("maxmemory", "256mb")


def _make_a_replica(client: redis.Redis, server: Redis) -> None:
    """As after a failover. Clients that wait for something are told UNBLOCKED."""
    client.replicaof("127.0.0.1", "1")


def _make_a_master(client: redis.Redis, server: Redis) -> None:
    client.replicaof("NO", "ONE")


def _keep_from_saving(client: redis.Redis, server: Redis) -> None:
    (server.root / "dump.rdb").mkdir()  # where the snapshot should go
    client.config_set("save", "3600 1000000")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def _save_nothing(client: redis.Redis, server: Redis) -> None:
    client.config_set("save", "")
    (server.root / "dump.rdb").rmdir()


def _ask_for_replicas(client: redis.Redis, server: Redis) -> None:
    client.config_set("min-replicas-to-write", 1)


def _ask_for_no_replicas(client: redis.Redis, server: Redis) -> None:
    client.config_set("min-replicas-to-write", 0)


REFUSALS = {
    "OOM": (_fill, _make_room),
    "READONLY": (_make_a_replica, _make_a_master),
    "MISCONF": (_keep_from_saving, _save_nothing),
    "NOREPLICAS": (_ask_for_replicas, _ask_for_no_replicas),
}


@contextmanager
def refusing_writes(server: Redis, kind: str) -> Iterator[None]:
    """The server refuses writes while the block runs. ``kind`` is what its errors begin with."""
    refuse, get_well = REFUSALS[kind]
    with redis.Redis.from_url(server.url, socket_timeout=20) as client:
        client.ping()  # it has read what was there
        refuse(client, server)
        try:
            yield
        finally:
            get_well(client, server)
