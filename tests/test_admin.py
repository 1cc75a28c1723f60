"""The admin as a whole: every model is there, cheap to list, and written by its services alone."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.postgres.search import SearchVectorField
from django.db import connection
from django.db.models import BinaryField, JSONField, Model, TextField
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.accounts.test_deletion import fill
from tests.factories import UserFactory

OURS = ("accounts", "notes", "ai_tasks", "study", "notifications", "utils")
MODELS = [model for model in apps.get_models() if model._meta.app_label in OURS]
WRITTEN_BY_SERVICES = [model for model in MODELS if model is not User]


def page_of(model: type[Model], rest: str = "") -> str:
    assert admin.site.is_registered(model), f"Register a ReadOnlyAdmin of {model.__name__} in its app's admin.py."
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{rest}"


@pytest.fixture
def operator(db) -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True))
    return client


def test_every_model_has_its_admin():
    missing = [model.__name__ for model in MODELS if model not in admin.site._registry]
    assert not missing, f"Register a ReadOnlyAdmin in its app's admin.py for each of {missing}."
    others = [model.__name__ for model in admin.site._registry if model not in MODELS]
    assert not others, f"{others} are none of our models: unregister each, or its list and searches are not tested."


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("users", [1, 10])
def test_a_list_costs_the_same_for_any_number_of_rows(operator, model, users, django_assert_num_queries):
    for user in UserFactory.create_batch(users):
        fill(user)

    with django_assert_num_queries(3):  # the operator, the count, the page
        assert operator.get(page_of(model)).status_code == 200


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", ["1", "student"])
def test_any_text_may_be_searched_for(operator, model, text):
    fill(UserFactory())

    assert operator.get(page_of(model), {"q": text}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_a_list_loads_no_long_column_and_walks_through_no_table_for_its_filters(operator, model):
    fill(UserFactory())
    long = {
        f'"{table._meta.db_table}"."{field.column}"'
        for table in MODELS
        for field in table._meta.concrete_fields
        if isinstance(field, (BinaryField, JSONField, SearchVectorField, TextField))
    }

    with CaptureQueriesContext(connection) as queries:
        assert operator.get(page_of(model)).status_code == 200

    selected = [query["sql"].partition(" FROM ")[0] for query in queries]
    assert not [column for column in long for columns in selected if column in columns]
    assert not [columns for columns in selected if "DISTINCT" in columns]


@pytest.mark.parametrize("model", WRITTEN_BY_SERVICES)
def test_what_services_write_can_be_seen_and_nothing_else(operator, model):
    fill(UserFactory())
    row = model._default_manager.order_by("pk").first()
    assert row is not None, f"Let fill() of tests/accounts/test_deletion.py make a {model.__name__}."
    before = model._default_manager.values().get(pk=row.pk)

    assert operator.get(page_of(model, f"{row.pk}/change/")).status_code == 200
    assert operator.post(page_of(model, f"{row.pk}/change/"), {"title": "mine"}).status_code == 403
    assert operator.post(page_of(model, f"{row.pk}/delete/"), {"post": "yes"}).status_code == 403
    assert operator.get(page_of(model, "add/")).status_code == 403
    operator.post(page_of(model), {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert model._default_manager.values().get(pk=row.pk) == before


@pytest.mark.parametrize("model", MODELS)
def test_students_do_not_get_in(alice, model):
    client = Client()
    client.force_login(alice)

    assert client.get(page_of(model))["Location"].startswith("/admin/login/")
