"""AI tasks of the signed-in user."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_tasks import ledger, reads
from ai_tasks.embeddings.use import use_today
from ai_tasks.models import AITask
from ai_tasks.money import ZERO
from ai_tasks.providers import EMBEDDINGS, embedding_endpoint
from ai_tasks.serializers import (
    AcceptedTaskSerializer,
    RequestTypeSerializer,
    SubmissionSerializer,
    TaskFilterSerializer,
    TaskListSerializer,
    TaskSerializer,
    UsageSerializer,
    request_types,
)
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer

POLL_AFTER_SECONDS = "1"
LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[200, 202], description="Relative link to the task."
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[202], description="Seconds to wait before the first poll."
)


def render_task(request: HttpRequest, user_id: int, pk: UUID) -> Rendered:
    return render(reads.detail(pk, user_id=user_id))


class AITaskViewSet(FastReadMixin, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Ask AI, watch the answer come, and find it again."""

    lookup_value_converter = "uuid"
    serializer_class = TaskListSerializer
    errors = {
        "create": (NotFound, ledger.UnknownRequestType, ledger.AILimitReached, ledger.AIBudgetReached),
        "cancel": (ledger.TaskFinished,),
        "retry": (ledger.TaskUnfinished, ledger.AILimitReached, ledger.AIBudgetReached),
    }
    query_parameters = {"list": names_of(TaskFilterSerializer, paginated=True)}
    read_specs = {"retrieve": ReadSpec(renderer=render_task, scopes=("poll",), is_light=True)}

    def get_queryset(self) -> QuerySet[AITask]:
        filters = read_query(TaskFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_tasks_for_list(self.request.user, filters)

    @extend_schema(operation_id="listTasks", parameters=[TaskFilterSerializer])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List AI tasks.

        Without their answers, the newest first.
        """
        return super().list(request, *args, **kwargs)

    @extend_schema(
        operation_id="createTask",
        request=SubmissionSerializer,
        responses={
            202: OpenApiResponse(AcceptedTaskSerializer, "Accepted: a worker will answer."),
            200: OpenApiResponse(AcceptedTaskSerializer, "An equal request is unfinished, or has a recent answer."),
        },
        parameters=[IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Ask AI.

        The response is sent after the task is stored. The task will end as `succeeded`, `failed` or `cancelled`.
        Without an `Idempotency-Key`, a request equal to an unfinished one gets that task, and a request equal to one
        that was answered within the last hour gets a finished task of its own (`cached`).
        """
        body = read_body(SubmissionSerializer, request)
        submission = ledger.submit(
            user_id=user_id_of(request), may_coalesce="Idempotency-Key" not in request.headers, **body
        )
        return _accepted(submission.task, is_new=submission.outcome == "created")

    @extend_schema(operation_id="getTask", responses=TaskSerializer)
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Rendered:
        """Show an AI task.

        Its progress, and at the end its `result` or its `error`. Made for polling: send the `ETag` back as
        `If-None-Match`, and an unchanged task is a 304. Polls have their own rate limit and count against no other.
        """
        return render_task(request._request, user_id_of(request), pk)

    @extend_schema(operation_id="cancelTask", request=None, responses={202: TaskSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        """Cancel an AI task.

        A waiting task is `cancelled` at once. A running task is `cancelling` until its worker has closed the connection
        to the model.
        """
        task = ledger.cancel(task_id=pk, user_id=user_id_of(request))
        return Response(TaskSerializer(task).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        operation_id="retryTask",
        request=None,
        responses={202: AcceptedTaskSerializer},
        parameters=[IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def retry(self, request: Request, pk: UUID) -> Response:
        """Ask AI again.

        Creates a new task from one that has ended; `retry_of` names the old task. The model is called again: stored
        answers are not used.
        """
        return _accepted(ledger.retry(task_id=pk, user_id=user_id_of(request)), is_new=True)


def _accepted(task: AITask, *, is_new: bool) -> Response:
    shown = reads.accepted(task)
    headers = {"Location": shown["links"]["self"]}
    if is_new:
        headers["Retry-After"] = POLL_AFTER_SECONDS
    return Response(
        shown,
        status=status.HTTP_202_ACCEPTED if is_new else status.HTTP_200_OK,
        headers=headers,
    )


class RequestTypesView(APIView):
    """The AI request types."""

    @extend_schema(operation_id="listRequestTypes", responses=RequestTypeSerializer(many=True))
    def get(self, request: Request) -> Response:
        """List the AI request types.

        Each request type, the field of a topic that its answer may be written to, the JSON Schema of its
        `request_data`, and the model that answers.
        """
        return Response(request_types())


class UsageView(APIView):
    """The user's AI usage today, and what remains this hour."""

    @extend_schema(operation_id="getUsage", responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        """Show your AI usage.

        The tasks, tokens and cost of today (UTC), in total and per request type, and what remains of the hourly limit
        and of the daily budget.
        """
        usage = QueryOptimizer.get_usage_today(request.user)
        _add_embeddings(usage, user_id_of(request))
        left = ledger.requests_left(user_id_of(request))
        usage["requests_left_this_hour"], usage["next_request_at"] = left or (None, None)
        return Response(UsageSerializer(usage).data)


def _add_embeddings(usage: dict[str, Any], user_id: int) -> None:
    """Show the usage of embeddings as a feature of its own, since they are not tasks."""
    if embedding_endpoint() and (use := use_today(user_id)):
        usage["estimated"] = use.pop("estimated") or usage["estimated"]
        usage["input_tokens_today"] += use["input_tokens"]
        usage["budget"]["spent"] += use["cost"] or ZERO
        usage["features"][EMBEDDINGS] = use
