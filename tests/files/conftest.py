"""The storages that files may be kept in, each as an operator would have it."""

import os
import sys
from collections.abc import Iterator

import boto3
import pytest
from django.test import Client

from NoteAssist_AI.storage import file_storage
from tests.processes import free_port, running, wait_until
from tests.servers.wire import request, status_of

BUCKET = "notes"
FILE_STORAGE = "file"
S3 = "s3"


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory) -> Iterator[str]:
    """A bucket of moto's server, a process that speaks S3."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, tmp_path_factory.mktemp("s3") / "moto.log") as process:
        wait_until(lambda: _is_up(port), 60, lambda: process.output)
        endpoint = f"http://127.0.0.1:{port}"
        boto3.client(
            "s3", endpoint_url=endpoint, aws_access_key_id="key", aws_secret_access_key="s/c", region_name="us-east-1"
        ).create_bucket(Bucket=BUCKET)
        yield f"s3://key:s%2Fc@127.0.0.1:{port}/{BUCKET}?region=us-east-1&tls=off"


def _is_up(port: int) -> bool:
    try:
        return status_of(port, request("GET / HTTP/1.1", "Connection: close")) is not None
    except OSError:
        return False


def use_storage(settings, url: str) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": file_storage(url, None)}


@pytest.fixture(params=[FILE_STORAGE, S3])
def storage_url(request, settings, files) -> str:
    """Each kind of storage, empty but for what other tests left in the bucket."""
    url = os.environ["STORAGE_URL"] if request.param == FILE_STORAGE else request.getfixturevalue("s3_url")
    use_storage(settings, url)
    return url


@pytest.fixture
def visitor() -> Client:
    return Client(enforce_csrf_checks=True)
