"""AI tasks of the signed-in user."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_tasks import ledger, reads
from ai_tasks.models import AITask
from ai_tasks.serializers import (
    AcceptedTaskSerializer,
    RequestTypeSerializer,
    SubmissionSerializer,
    TaskFilterSerializer,
    TaskListSerializer,
    TaskSerializer,
    UsageSerializer,
    request_types,
    task_path,
)
from utils.idempotency import idempotent
from utils.pages import FastRead, FastReads, fast_read
from utils.query_optimization import QueryOptimizer
from utils.rendering import Rendered, render
from utils.requests import ReadRequest, user_id_of

POLL_AFTER_SECONDS = "1"


def render_task(request: ReadRequest, user_id: int, pk: UUID) -> Rendered:
    return render(reads.detail(pk, user_id=user_id))


@extend_schema_view(
    list=extend_schema(parameters=[TaskFilterSerializer]),
    retrieve=extend_schema(responses=TaskSerializer),
)
class AITaskViewSet(FastReads, mixins.ListModelMixin, viewsets.GenericViewSet):
    """Ask AI, watch the answer come, and find it again."""

    lookup_value_converter = "uuid"
    serializer_class = TaskListSerializer
    fast_reads = {"retrieve": FastRead(renderer=render_task, scopes=("poll",))}

    def get_queryset(self) -> QuerySet[AITask]:
        filters = TaskFilterSerializer(data=self.request.query_params)
        filters.is_valid(raise_exception=True)
        return QueryOptimizer.get_tasks_for_list(self.request.user, filters.validated_data)

    @extend_schema(
        request=SubmissionSerializer,
        responses={
            202: AcceptedTaskSerializer,
            200: AcceptedTaskSerializer,
        },
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
        description="202: accepted, a worker will answer. 200: an equal request is under way, or was answered within "
        "the hour (`cached`).",
    )
    @idempotent
    def create(self, request: Request) -> Response:
        body = SubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        submission = ledger.submit(
            user_id=user_id_of(request), may_coalesce="Idempotency-Key" not in request.headers, **body.validated_data
        )
        return _accepted(submission.task, is_new=submission.outcome == "created")

    @fast_read
    def retrieve(self, request: Request, pk: UUID) -> Rendered:
        return render_task(request._request, user_id_of(request), pk)

    @extend_schema(request=None, responses={202: TaskSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: UUID) -> Response:
        task = ledger.cancel(task_id=pk, user_id=user_id_of(request))
        return Response(TaskSerializer(task).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        request=None,
        responses={202: AcceptedTaskSerializer},
        parameters=[OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)],
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def retry(self, request: Request, pk: UUID) -> Response:
        return _accepted(ledger.retry(task_id=pk, user_id=user_id_of(request)), is_new=True)


def _accepted(task: AITask, *, is_new: bool) -> Response:
    headers = {"Location": task_path(task.pk)}
    if is_new:
        headers["Retry-After"] = POLL_AFTER_SECONDS
    return Response(
        reads.accepted(task),
        status=status.HTTP_202_ACCEPTED if is_new else status.HTTP_200_OK,
        headers=headers,
    )


class RequestTypesView(APIView):
    """What can be asked of AI, each with the JSON schema of its ``request_data``."""

    @extend_schema(responses=RequestTypeSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response(request_types())


class UsageView(APIView):
    """What the user had of AI today, and what is left this hour."""

    @extend_schema(responses=UsageSerializer)
    def get(self, request: Request) -> Response:
        usage = QueryOptimizer.get_usage_today(request.user)
        left = ledger.requests_left(user_id_of(request))
        usage["requests_left_this_hour"], usage["next_request_at"] = left or (None, None)
        return Response(UsageSerializer(usage).data)
