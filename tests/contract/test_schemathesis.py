"""Schemathesis finds nothing: every answer to what it makes up is one that the description tells."""

import re

import pytest
from django.conf import settings

from tests.contract.tools import HERE, OPENAPI, python_programs, run, running_product

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2000)]

SCOPES = ("BURST", "SUSTAINED", "AI_TOOLS", "POLL", "LOGIN", "STUDY", "FORECASTS", "CALENDARS", "FILES", "SHARES")
NO_LIMITS = {f"THROTTLE_{scope}": "none" for scope in SCOPES}


@pytest.mark.django_db(transaction=True)
def test_schemathesis_finds_no_answer_that_the_description_does_not_tell(tmp_path):
    program = python_programs() / "schemathesis"
    with running_product(tmp_path, **NO_LIMITS) as url:
        command = [program, "--config-file", HERE / "schemathesis.toml", "run", OPENAPI, "--url", url, "--no-color"]

        output = run(command, cwd=tmp_path, NOTEASSIST_URL=url, PYTHONPATH=str(settings.BASE_DIR))

    generated, found = re.search(r"(\d+) generated, (?:(\d+) found|\d+ passed)", output).groups()
    assert (int(generated) > 100, found) == (True, None), output[-60_000:]
