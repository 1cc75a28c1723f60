"""The committed API description is the code's, and valid."""

from pathlib import Path

import yaml
from django.conf import settings
from django.core.management import call_command
from openapi_spec_validator import validate


def test_the_committed_schema_equals_what_the_code_generates(tmp_path):
    generated = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", file=str(generated))

    assert Path(settings.BASE_DIR, "docs/openapi.yaml").read_text() == generated.read_text(), "run: make schema"


def test_the_schema_is_valid_openapi_and_describes_errors_everywhere():
    schema = yaml.safe_load(Path(settings.BASE_DIR, "docs/openapi.yaml").read_text())

    validate(schema)
    assert schema["openapi"].startswith("3.1")
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert "400" in operation["responses"], (path, method)


def test_the_committed_schema_is_served_as_it_is(client, db, settings, tmp_path):
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/openapi.yaml").write_text("openapi: 3.1.0  # none that could be made\n")

    response = client.get("/api/schema/")

    assert response.content == b"openapi: 3.1.0  # none that could be made\n"
    assert response["Content-Type"] == "application/vnd.oai.openapi; charset=utf-8"


def test_swagger_ui_shows_it(client, db):
    assert b"swagger-ui" in client.get("/api/docs/").content
