"""In development the web process follows changes of code, also through code that cannot be loaded."""

import json
import time
import urllib.request
from contextlib import suppress
from urllib.error import HTTPError

import pytest

from tests.installation.documents import copy_into
from tests.processes import BIN, free_port, running, wait_until


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_web_answers_with_the_code_as_it_is_now(tmp_path):
    copy_into(tmp_path)
    port = free_port()
    health = tmp_path / "utils/http/health.py"
    written = health.read_text()
    answered = 'return JsonResponse({"status": "ok"})'
    assert answered in written

    def answer() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz/live", timeout=60) as response:
                return json.load(response)["status"]
        except HTTPError as error:
            return str(error.code)
        except OSError:
            return "away"

    command = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
    environment = {"ENVIRONMENT": "development", "PORT": str(port), "WEB_CONCURRENCY": "1"}
    with running(command, tmp_path / "web.log", cwd=tmp_path, **environment) as web:

        def becomes(text: str, expected: str) -> None:
            """Write the code; again, if gunicorn had its first look at the files only afterwards."""
            time.sleep(3)  # it looks each second
            for _ in range(3):
                health.write_text(text)
                with suppress(AssertionError):
                    return wait_until(lambda: answer() == expected, 60)
            pytest.fail(f"It never answered {expected!r}:\n{web.output}")

        wait_until(lambda: answer() == "ok", 120, lambda: web.output)
        becomes(written.replace(answered, answered.replace("ok", "changed")), "changed")
        becomes(f"{written}\nraise RuntimeError\n", "500")
        becomes(written, "ok")
        assert web.is_running
