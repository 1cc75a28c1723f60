"""Study settings and statistics of the signed-in user."""

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from study import services
from study.models import StudySettings
from study.settings_serializers import (
    SettingsSerializer,
    SettingsWriteSerializer,
    StatsFilterSerializer,
    StatsSerializer,
)
from study.stats import statistics
from study.views.cards import ETAG, IF_MATCH, expected_versions
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page


class SettingsView(FastReadMixin, APIView):
    """The user's study settings."""

    read_specs = {"get": ReadSpec()}

    @extend_schema(operation_id="getStudySettings", responses=SettingsSerializer)
    @cached_page
    def get(self, request: Request) -> Response:
        """Show your study settings.

        The defaults, until you change them.
        """
        return _shown(services.get_settings(user_id=user_id_of(request)))

    @extend_schema(
        operation_id="updateStudySettings",
        request=SettingsWriteSerializer,
        responses=SettingsSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def patch(self, request: Request) -> Response:
        """Change your study settings.

        Changes take effect from the next review on; earlier reviews keep their effect.
        """
        body = read_body(SettingsWriteSerializer, request, partial=True)
        return _shown(
            services.update_settings(user_id=user_id_of(request), changes=body, if_match=expected_versions(request))
        )


def _shown(settings: StudySettings) -> Response:
    return Response(SettingsSerializer(settings).data, headers={"ETag": f'"{settings.version}"'})


def render_statistics(request: HttpRequest, user_id: int) -> Rendered:
    query = read_query(StatsFilterSerializer, request.GET)
    settings = services.get_settings(user_id=user_id)
    return render(statistics(settings, timezone.now(), days=query["days"]))


class StatsView(FastReadMixin, APIView):
    """The user's study statistics."""

    query_parameters = {"get": names_of(StatsFilterSerializer)}
    read_specs = {"get": ReadSpec(renderer=render_statistics)}

    @extend_schema(operation_id="getStudyStats", parameters=[StatsFilterSerializer], responses=StatsSerializer)
    @cached_page
    def get(self, request: Request) -> Rendered:
        """Show study statistics.

        The reviews of the last days, how much you remembered compared with what was expected, and the cards due on each
        of as many days ahead.
        """
        return render_statistics(request._request, user_id_of(request))
