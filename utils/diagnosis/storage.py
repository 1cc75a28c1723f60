"""The file storage: a test file is written here, read here, and read by a worker."""

import secrets
import time
from collections.abc import Iterator
from io import BytesIO

from django.conf import settings
from django.core.files.storage import storages

from utils import storage
from utils.diagnosis import Options, Result, check
from utils.http.errors import ApplicationError
from utils.redis.broker import publish
from utils.redis.client import redis_guard

TASK = "utils.tell_of_file"
WORKER_SECONDS = 10.0
_SIGN_SECONDS = 60


def sign_key(name: str) -> str:
    return f"doctor:{name}"


@check("storage")
def here(_options: Options) -> Iterator[Result]:
    if not settings.FILES_ARE_KEPT:
        yield True, "no storage for files: uploads are refused (STORAGE_URL)"
        return
    name, content = storage.new_name("doctor"), secrets.token_bytes(32)
    try:
        storage.store(name, BytesIO(content))
        with storage.read(name) as file:
            is_same = file.read() == content
        storage.discard(name)
    except ApplicationError as error:
        yield False, f"the storage cannot be used: {error.__cause__ or error} (STORAGE_URL)"
        return
    yield is_same, f"a file was written and read ({type(storages['default']).__name__})"


@check("storage of workers", needs=("storage", "redis", "worker"))
def in_a_worker(_options: Options) -> Iterator[Result]:
    if not settings.FILES_ARE_KEPT:
        return
    name, content = storage.new_name("doctor"), secrets.token_hex(32)
    storage.store(name, BytesIO(content.encode()))
    try:
        yield _ask(name, content)
    finally:
        storage.discard(name)


def _ask(name: str, content: str) -> Result:
    if not publish(TASK, name):
        return False, "no worker could be asked to read a file"
    deadline = time.monotonic() + WORKER_SECONDS
    while time.monotonic() < deadline:
        with redis_guard() as client:
            found = client.get(sign_key(name))
        if found is not None:
            is_same = found == content.encode()
            return is_same, "a worker reads what is written here" if is_same else (
                "a worker does not see what is written here: all processes must share one STORAGE_URL"
            )
        time.sleep(0.1)
    return False, f"no worker has read a file within {WORKER_SECONDS:.0f} s"


def report_file(name: str) -> None:
    """Report what this worker reads in the doctor's test file."""
    try:
        with storage.read(name) as file:
            content = file.read(100)
    except ApplicationError:
        content = b""
    with redis_guard() as client:
        client.set(sign_key(name), content, ex=_SIGN_SECONDS)
