"""Every error has one shape."""

import pytest


@pytest.mark.parametrize("path", ["/api/nothing/", "/api/notes", "/nothing", "/api/notes/x/"])
@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_url_is_a_problem_document(client, settings, path, debug, db):
    settings.DEBUG = debug

    response = client.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing here.",
        "code": "not_found",
        "request_id": response["X-Request-ID"],
        "errors": [],
    }
