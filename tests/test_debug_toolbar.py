"""Development's debug toolbar stands in nobody's way."""

import json
import subprocess
import sys

from tests.processes import RUN_SECONDS, environment_of_this_test

PAGES = """
import json
import django
django.setup()
from django.test import Client
client = Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost")
print(json.dumps({path: client.get(path).content.decode() for path in ("/api/docs/", "/api/", "/admin/login/")}))
"""


def test_the_debug_toolbar_is_a_closed_tab_in_the_admin_and_nowhere_else(db):
    environment = environment_of_this_test(ENVIRONMENT="development", DEBUG="true", PYTHONWARNINGS="ignore")

    shown = subprocess.run(
        [sys.executable, "-c", PAGES], env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=True
    )

    pages = json.loads(shown.stdout.splitlines()[-1])
    assert {path for path, page in pages.items() if "djDebug" in page} == {"/admin/login/"}
    assert 'data-default-show="false"' in pages["/admin/login/"]
