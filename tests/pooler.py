"""Debian's PgBouncer before this test's PostgreSQL, on a port that says nothing about its mode."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connection

from tests.processes import Process, free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")
SERVER_CONNECTIONS = 3
"""Few, so that every client gets connections on which others have been."""


@dataclass(frozen=True)
class Pooler:
    url: str
    """A ``DATABASE_URL``."""
    process: Process

    @property
    def log(self) -> str:
        return self.process.output


@contextmanager
def running_pgbouncer(directory: Path, mode: str, *, ignore_options: bool = False) -> Iterator[Pooler]:
    """PgBouncer in a pool mode. With ``ignore_options`` it lets clients begin with options, and drops them."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    server = connection.settings_dict
    parameters = {"host": server["HOST"], "port": server["PORT"] or 5432, "user": server["USER"]}
    if server["PASSWORD"]:
        parameters["password"] = server["PASSWORD"]
    port = free_port()
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        "\n".join(
            [
                "[databases]",
                "* = " + " ".join(f"{name}='{value}'" for name, value in parameters.items() if value),
                "[pgbouncer]",
                "listen_addr = 127.0.0.1",
                f"listen_port = {port}",
                "unix_socket_dir =",
                "auth_type = any",
                f"pool_mode = {mode}",
                f"default_pool_size = {SERVER_CONNECTIONS if mode == 'transaction' else 50}",
                "max_client_conn = 500",
                f"ignore_startup_parameters = {'options' if ignore_options else ''}",
                "",
            ]
        )
    )
    command = [PROGRAM, str(configuration)]
    if os.geteuid() == 0:  # it refuses to run as root; as nobody it could not pass the closed directory of a socket
        nobody = pwd.getpwnam("nobody")
        rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]
        command = [
            "setpriv",
            f"--reuid={nobody.pw_uid}",
            f"--regid={nobody.pw_gid}",
            "--clear-groups",
            *rights,
            *command,
        ]
    process = Process(command, {"PATH": os.environ["PATH"]}, directory / "pgbouncer.log")
    try:
        process.wait_for_output("process up")
        yield Pooler(f"postgresql://{server['USER']}@127.0.0.1:{port}/{server['NAME']}", process)
    finally:
        process.kill()
