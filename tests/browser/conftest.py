"""The running product, and Debian's Chromium, which looks at it."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.processes import (
    BIN,
    START_SECONDS,
    WORKER,
    Process,
    environment_of_this_test,
    free_port,
    running,
    wait_for_consumers,
    wait_until,
)
from tests.servers.wire import is_live
from utils.redis.client import reset_client

STEP_MS = 30_000
"""How long one step in the browser may take, on a machine that has other work to do."""
expect.set_options(timeout=STEP_MS)


class Product:
    """The product as `make run` starts it: web, events and a worker."""

    def __init__(self, folder: Path, **more: str) -> None:
        port, events_port = free_port(), free_port()
        self.folder = folder
        self.workers: list[Process] = []
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            "ENVIRONMENT": "development",
            "DEBUG": "true",
            "PORT": str(port),
            "EVENTS_PORT": str(events_port),
            "EVENTS_BASE_URL": f"http://127.0.0.1:{events_port}",
            "CORS_ALLOWED_ORIGINS": self.url,
            "WEB_CONCURRENCY": "1",
            **more,
        }

    @contextmanager
    def gunicorn(self, name: str, port: str, config: str) -> Iterator[Process]:
        command = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", config]
        with running(command, self.folder / f"{name}.log", **self.environment) as process:
            wait_until(lambda: is_live(int(self.environment[port])), START_SECONDS, lambda: process.output)
            yield process

    def web(self) -> AbstractContextManager[Process]:
        return self.gunicorn("web", "PORT", "gunicorn.conf.py")

    @contextmanager
    def running(self) -> Iterator[Self]:
        with self.gunicorn("events", "EVENTS_PORT", "gunicorn_events.conf.py"), self.web():
            try:
                self.start_worker()
                yield self
            finally:
                self.worker.kill()

    def start_worker(self, **more: str) -> None:
        """Start a worker in the place of the one before: two would share the tasks."""
        if self.workers:
            self.worker.kill()
        few = {"DB_POOL_MAX": "4", "AI_WORKER_CONCURRENCY": "4"}
        environment = environment_of_this_test(**few, **{**self.environment, **more})
        self.workers.append(Process(WORKER, environment, self.folder / f"worker-{len(self.workers)}.log"))
        wait_for_consumers(self.worker)

    @property
    def worker(self) -> Process:
        return self.workers[-1]


@pytest.fixture(scope="package")
def product(django_db_setup, tmp_path_factory) -> Iterator[Product]:
    """One for all tests of this folder: each finds it with empty tables, but for the demo user."""
    with Product(tmp_path_factory.mktemp("product")).running() as product:
        yield product


@pytest.fixture(autouse=True)
def empty_redis() -> Iterator[redis.Redis]:
    """As for all tests, but that the running worker keeps its queues."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        others = [key for key in client.scan_iter() if not key.startswith(b"_kombu")]
        if others:
            client.delete(*others)
        reset_client()
        yield client


@pytest.fixture
def url(product: Product, transactional_db) -> str:
    call_command("seed_demo")
    return product.url


@pytest.fixture
def browser(transactional_db) -> Iterator[Browser]:
    """It ends before the database is emptied: while it runs, Django takes this thread for an asynchronous one."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed here: apt-get install chromium")
    with sync_playwright() as playwright:
        it = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield it
        it.close()


class Watched:
    """Pages of the browser, each with what went wrong in it."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.wrong: list[str] = []
        self.requests: list[str] = []

    def open(self, *, width: int = 1280, height: int = 860, **options: object) -> Page:
        """A page of a person of its own, as a new context is."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        return self.tab(context.new_page())

    def tab(self, page: Page) -> Page:
        page.set_default_timeout(STEP_MS)
        page.on("console", lambda it: self.wrong.append(it.text) if it.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on(
            "request", lambda request: self.requests.append(f"{request.method} {request.url.removeprefix(self.url)}")
        )
        page.goto(self.url)
        return page

    @staticmethod
    def scrolls_sideways(page: Page) -> bool:
        return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.fixture
def watched(url, browser) -> Watched:  # in this order, as the demo user comes before the browser
    return Watched(browser, url)


@pytest.fixture
def axe() -> str:
    """axe-core 4.14.1 (MPL-2.0), as it comes from npm."""
    return (Path(__file__).parent / "axe.min.js").read_text()
