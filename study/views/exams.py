"""Exams of the signed-in user, their forecasts and plans, and their public calendars."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils import timezone
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from study import services
from study.calendars import CONTENT_TYPE, calendar_of
from study.exam_serializers import (
    CalendarLinkSerializer,
    ExamForecastSerializer,
    ExamPlanSerializer,
    ExamSerializer,
    ExamWriteSerializer,
    PlanFilterSerializer,
)
from study.exams import ExamIsOver, forecast_of, plan_of
from study.models import Exam
from study.views.cards import ETAG, IF_MATCH, LOCATION, expected_versions
from utils.admission.counting import count_request
from utils.http.client_address import client_address
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.query import names_of
from utils.http.rendering import Rendered, body_etag, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page, opaque_etags
from utils.query_optimization import QueryOptimizer

FORECASTS = ("forecasts",)
CALENDARS = "calendars"
"""The rate limit of calendars, per address. They count towards no other limit."""


class ExamViewSet(FastReadMixin, viewsets.GenericViewSet[Exam]):
    """Exams."""

    lookup_value_converter = "uuid"
    serializer_class = ExamSerializer
    errors = {"create": (NotFound, services.TooManyExams)}
    query_parameters = {"list": PAGE_PARAMETERS}
    read_specs = {"list": ReadSpec(), "retrieve": ReadSpec()}

    def get_queryset(self) -> Any:
        return QueryOptimizer.get_exams_for_list(self.request.user)

    @extend_schema(operation_id="listExams")
    @cached_page
    def list(self, request: Request) -> Response:
        """List your exams.

        The latest date first, past exams included.
        """
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(operation_id="getExam")
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show an exam.

        Its own fields only. The forecast is at `forecast/`.
        """
        return _shown(QueryOptimizer.get_exam_detail(pk, request.user))

    @extend_schema(
        operation_id="createExam",
        request=ExamWriteSerializer,
        responses={201: ExamSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add an exam.

        Its scope is the cards of notes and the cards with tags. Cards that you add later count too.
        """
        zone = services.get_settings(user_id=user_id_of(request)).time_zone
        body = read_body(ExamWriteSerializer, request, context={"time_zone": zone})
        exam = services.create_exam(user_id=user_id_of(request), data={"time_zone": zone, **body})
        response = _shown(exam)
        response.status_code = status.HTTP_201_CREATED
        response["Location"] = f"/api/study/exams/{exam.pk}/"
        return response

    @extend_schema(
        operation_id="replaceExam",
        request=ExamWriteSerializer,
        responses=ExamSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def update(self, request: Request, pk: UUID, partial: bool = False) -> Response:
        """Replace an exam.

        An omitted field gets its default; the time zone and the calendar link stay.
        """
        zone = QueryOptimizer.get_exam_detail(pk, request.user).time_zone
        body = read_body(ExamWriteSerializer, request, partial=partial, context={"time_zone": zone})
        return _shown(
            services.update_exam(
                user_id=user_id_of(request), exam_id=pk, changes=body, if_match=expected_versions(request)
            )
        )

    @extend_schema(
        operation_id="updateExam", request=ExamWriteSerializer, responses=ExamSerializer, parameters=[IF_MATCH, ETAG]
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change part of an exam.

        Unchanged values do not change its version. A new time zone alone does not move the exam.
        """
        return self.update(request, pk, partial=True)

    @extend_schema(
        operation_id="deleteExam",
        parameters=[IF_MATCH],
        responses={204: OpenApiResponse(description="The exam was deleted.")},
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete an exam.

        Its cards stay as they are; its calendar link stops working.
        """
        services.delete_exam(user_id=user_id_of(request), exam_id=pk, if_match=expected_versions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _shown(exam: Exam) -> Response:
    return Response(ExamSerializer(exam).data, headers={"ETag": f'"{exam.version}"'})


def render_forecast(request: HttpRequest, user_id: int, pk: UUID) -> Rendered:
    exam, its_settings = _exam_and_settings(pk, user_id)
    return render(forecast_of(exam, its_settings, timezone.now()))


def render_plan(request: HttpRequest, user_id: int, pk: UUID) -> Rendered:
    query = read_query(PlanFilterSerializer, request.GET)
    exam, its_settings = _exam_and_settings(pk, user_id)
    return render(plan_of(exam, its_settings, timezone.now(), day=query.get("day"), limit=query["limit"]))


def _exam_and_settings(pk: UUID, user_id: int) -> Any:
    exam = Exam.objects.owned_by(user_id).get(pk=pk)
    return exam, services.get_settings(user_id=user_id)


class ForecastView(FastReadMixin, APIView):
    """The forecast of an exam."""

    errors = {"get": (ExamIsOver,)}
    read_specs = {"get": ReadSpec(renderer=render_forecast, scopes=FORECASTS)}

    @extend_schema(operation_id="getForecast", responses=ExamForecastSerializer)
    @cached_page
    def get(self, request: Request, pk: UUID) -> Rendered:
        """Forecast an exam.

        The expected recall on the exam day, per chapter and in total: without any study, with the plan, and if you
        study what is due first. Forecasts and plans have a rate limit of their own.
        """
        return render_forecast(request._request, user_id_of(request), pk)


class PlanView(FastReadMixin, APIView):
    """The plan of a day."""

    errors = {"get": (ExamIsOver,)}
    query_parameters = {"get": names_of(PlanFilterSerializer)}
    read_specs = {"get": ReadSpec(renderer=render_plan, scopes=FORECASTS)}

    @extend_schema(operation_id="getPlan", parameters=[PlanFilterSerializer], responses=ExamPlanSerializer)
    @cached_page
    def get(self, request: Request, pk: UUID) -> Rendered:
        """Plan a day for an exam.

        First the day's share of new cards, then due cards, then more new cards. In the last days before the exam, spare
        time goes to the weakest cards. Today's plan covers the rest of today. A later day's plan assumes the likeliest
        answers until then.
        """
        return render_plan(request._request, user_id_of(request), pk)


class CalendarLinkView(APIView):
    """The calendar link of an exam."""

    @extend_schema(operation_id="createCalendarLink", request=None, responses={201: CalendarLinkSerializer})
    def post(self, request: Request, pk: UUID) -> Response:
        """Create a calendar link for an exam.

        Calendar programs subscribe to `url`, which shows the exam and your study minutes of each day before it. Anyone
        with the link can read it, so it is shown only once. Another POST creates a new link, and the old one stops
        working.
        """
        token = services.link_calendar(user_id=user_id_of(request), exam_id=pk)
        origin = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
        url = f"{origin}/api/study/calendars/{token}.ics"
        return Response({"url": url}, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})

    @extend_schema(
        operation_id="deleteCalendarLink", responses={204: OpenApiResponse(description="The link no longer works.")}
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        """Revoke an exam's calendar link.

        It stops working at once. Without a link, nothing changes.
        """
        services.unlink_calendar(user_id=user_id_of(request), exam_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@require_safe
def calendar(request: HttpRequest, token: str) -> HttpResponse:
    """The calendar of an exam, for anyone with its link."""
    count_request(request, scope=CALENDARS, subject=client_address(request))
    exam = QueryOptimizer.get_exam_by_calendar(token)
    its_settings = services.get_settings(user_id=exam.user_id)
    body = calendar_of(exam, timezone.now(), day_starts_at=its_settings.day_starts_at)
    etag = body_etag(body)
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache", "Referrer-Policy": "no-referrer"}
    if etag in opaque_etags(request.headers.get("If-None-Match", "")):
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(body, content_type=CONTENT_TYPE, headers=headers)
