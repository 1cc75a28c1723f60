"""How a client that knows nothing yet finds its way."""

import pytest
from django.urls import resolve

from utils.http.errors import not_found


def test_the_root_of_the_api_leads_to_what_there_is(client, db, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = client.get("/api/")

    links = response.json()["links"]
    assert response.json()["name"] == "NoteAssist AI"
    assert links["notes"] == "/api/notes/"
    assert links["documentation"] == "/api/docs/"
    assert [path for path in links.values() if resolve(path).func is not_found] == []


@pytest.mark.parametrize("method", ["get", "post", "patch", "delete"])
@pytest.mark.parametrize("path", ["/api/notes", "/api", "/api/notes/7", "/api/auth/login", "/admin"])
def test_a_path_without_its_slash_is_told_of(client, db, path, method):
    response = getattr(client, method)(path)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.json()["detail"] == f"Not found. Paths end with a slash: {path}/"


@pytest.mark.parametrize("path", ["/api/nothing", "/api/nothing/", "/healthz/live/"])
def test_a_path_that_no_slash_would_mend_is_plainly_not_there(client, path):
    response = client.get(path)

    assert (response.status_code, response.json()["detail"]) == (404, "Not found.")
