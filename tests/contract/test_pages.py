"""The pages of docs/api: every program runs and prints what its page says, and no code is left out."""

import ast
import re
import shutil
import subprocess
from http.client import HTTPConnection
from json import dumps, loads
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.urls import get_resolver

from accounts.services.users import set_password
from tests.contract.tools import python_programs, running_product
from tests.factories import UserFactory
from tests.processes import BIN
from utils.http.openapi.problems import all_codes

PAGES = Path(settings.BASE_DIR, "docs/api")


def blocks(page: Path) -> dict[str, str]:
    return dict(re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL))


def new_token(url: str, email: str) -> str:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = dumps({"email": email, "name": "", "password": "correct-horse-battery"})
    connection.request("POST", "/api/auth/register/", body, {"Content-Type": "application/json"})
    return loads(connection.getresponse().read())["access"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_every_program_prints_what_its_page_says(tmp_path):
    set_password(user_id=UserFactory(email="demo@noteassist.local").pk, password="demo-password")
    run = {
        "sh": ["sh", "-eu", "-c"],
        "python": [str(python_programs() / "python"), "-c"],  # which has httpx
        "js": ["node", "--input-type=module", "-e"],
    }
    if shutil.which("node") is None:
        pytest.skip("node is not installed here: install Node.js 20 or later")
    printed, said = {}, {}
    with running_product(tmp_path) as url:
        for page in sorted(PAGES.glob("*.md")):
            programs = blocks(page)
            if page.name in ("README.md", "ai-tasks.md"):  # tests/test_api_docs.py runs the latter
                continue
            for language, command in run.items():
                access = new_token(url, f"{page.stem}-{language}@example.com")
                result = subprocess.run(
                    [*command, programs[language]],
                    env={
                        "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "API": f"{url}/api", "ACCESS": access,
                        "no_proxy": "*", "NODE_NO_WARNINGS": "1",
                    },
                    capture_output=True, text=True, timeout=120, check=False,
                )  # fmt: skip
                output = re.sub(r"[ \t]+$", "", result.stdout + result.stderr, flags=re.MULTILINE)
                printed[page.name, language] = output
                said[page.name, language] = programs["text"]

    assert len(printed) == 8 * len(run)
    assert printed == said


def test_the_page_of_errors_has_every_code_with_its_status_and_meaning():
    get_resolver().url_patterns  # noqa: B018  # imports every view, and with it every error

    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (.*) \|$", (PAGES / "errors.md").read_text(), flags=re.MULTILINE)

    assert [(int(status), code, meaning) for status, code, meaning in rows] == [tuple(code) for code in all_codes()]


def test_no_code_is_written_out_anywhere_that_the_page_does_not_have():
    known = {code.code for code in all_codes()}
    literal = set()
    for package in ("accounts", "notes", "ai_tasks", "notifications", "utils", "NoteAssist_AI"):
        for path in Path(settings.BASE_DIR, package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "problem_response":
                    codes = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                    literal |= {code.value for code in codes if isinstance(code, ast.Constant)}

    assert literal == {
        "bad_request", "https_required", "internal_error", "not_authenticated", "only_streams_here", "unavailable",
    }  # fmt: skip
    assert literal <= known
