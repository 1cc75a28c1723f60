"""A view, a route or a setting cannot add checks that are not made before Django."""

import pytest
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.urls import path
from rest_framework.decorators import action
from rest_framework.permissions import IsAuthenticated
from rest_framework.views import APIView

from NoteAssist_AI.before_django import FastReadMiddleware
from NoteAssist_AI.checks import defaults_are_known_to_fast_reads, middleware_is_known_to_fast_reads
from notes.models import Note
from notes.views import NoteViewSet, SearchView
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec

ACCESS = {"permission_classes": [IsAuthenticated]}


@pytest.mark.parametrize(
    "members",
    [
        ACCESS,
        {"throttle_scopes": ("login",)},
        {"initial": lambda self, request: None},
        {"get_permissions": lambda self: []},
        {"get": action(detail=False, **ACCESS)(lambda self, request: None)},
    ],
    ids=["a permission", "a limit", "a step of each request", "a method for permissions", "an action's permission"],
)
@pytest.mark.parametrize("inherited", [False, True])
def test_a_view_with_fast_reads_cannot_make_checks_that_are_not_made_before_django(members, inherited):
    bases = (type("Checking", (APIView,), members), FastReadMixin) if inherited else (FastReadMixin, APIView)

    with pytest.raises(TypeError, match="has fast reads, so it may not define"):
        type("View", bases, {"read_specs": {"get": ReadSpec()}, **({} if inherited else members)})


def test_a_check_of_djangos_own_is_one_that_is_not_made_before_django():
    with pytest.raises(TypeError, match="may not define dispatch"):
        type("View", (LoginRequiredMixin, FastReadMixin, APIView), {"read_specs": {"get": ReadSpec()}})


def test_a_view_that_inherits_renderers_must_say_how_its_own_reads_are_rendered():
    with pytest.raises(TypeError, match="needs read_specs of its own"):
        type("Drafts", (NoteViewSet,), {"get_queryset": lambda self: Note.objects.none()})

    type("Drafts", (NoteViewSet,), {"read_specs": {"list": ReadSpec()}})


def test_a_route_that_adds_a_check_to_a_view_with_fast_reads_is_answered_by_django(settings):
    routes = {
        "plain": NoteViewSet.as_view({"get": "list"}),
        "search": SearchView.as_view(),
        "own": NoteViewSet.as_view({"get": "list"}, **ACCESS),
        "decorated": login_required(NoteViewSet.as_view({"get": "list"})),
        "decorated-search": login_required(SearchView.as_view()),
    }
    urlpatterns = [path(f"api/{name}/", view) for name, view in routes.items()]
    settings.ROOT_URLCONF = type("urls", (), {"urlpatterns": urlpatterns})
    service = FastReadMiddleware(lambda *_: [b"Django"])

    assert [name for name in routes if service._read_at(f"/api/{name}/")] == ["plain", "search"]
    for name in ("own", "decorated", "decorated-search"):
        assert service({"REQUEST_METHOD": "GET", "PATH_INFO": f"/api/{name}/"}, None) == [b"Django"]


def test_other_checks_for_all_views_than_those_that_are_made_before_django_fail_the_system_check(settings):
    assert defaults_are_known_to_fast_reads() == []
    permissions = [*settings.REST_FRAMEWORK["DEFAULT_PERMISSION_CLASSES"], "rest_framework.permissions.IsAdminUser"]

    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_PERMISSION_CLASSES": permissions}

    assert [error.id for error in defaults_are_known_to_fast_reads()] == ["noteassist.E003"]


def test_middleware_that_is_not_known_to_fast_reads_fails_the_system_check(settings):
    assert middleware_is_known_to_fast_reads() == []

    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "example.CountEachRequest"]

    assert [error.id for error in middleware_is_known_to_fast_reads()] == ["noteassist.E002"]
