"""Quizzes and recalls of the signed-in user."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from study import services
from study.models import Quiz, Recall
from study.quiz_serializers import (
    AnswersSerializer,
    QuizListSerializer,
    QuizSerializer,
    QuizWriteSerializer,
    RecallListSerializer,
    RecallSerializer,
    RecallWriteSerializer,
)
from study.quizzes.languages import preferred_language
from study.shown import quiz_as_listed, quiz_as_shown, recall_as_listed, recall_as_shown
from study.views.cards import LOCATION
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.requests import read_body, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer

ACCEPT_LANGUAGE = OpenApiParameter(
    "Accept-Language",
    str,
    OpenApiParameter.HEADER,
    description="The language whose numbers you write: `de` for `1.000,5`, `en` for `1,000.5`. Without it numbers are "
    "read as in the text that is asked about.",
)


class QuizViewSet(FastReadMixin, viewsets.GenericViewSet[Quiz]):
    """Quizzes from the user's notes and cards."""

    lookup_value_converter = "uuid"
    serializer_class = QuizSerializer
    errors = {"create": (NotFound,), "answers": (services.QuizAnswered,)}
    query_parameters = {"list": frozenset(PAGE_PARAMETERS)}
    read_specs = {"list": ReadSpec(), "retrieve": ReadSpec()}

    def get_queryset(self) -> QuerySet[Quiz]:
        return QueryOptimizer.get_quizzes_for_list(self.request.user)

    @extend_schema(operation_id="listQuizzes", responses=QuizListSerializer(many=True))
    @cached_page
    def list(self, request: Request) -> Response:
        """List your quizzes.

        Newest first. The last 200 are kept.
        """
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response([quiz_as_listed(quiz) for quiz in page or ()])

    @extend_schema(operation_id="getQuiz", responses=QuizSerializer)
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show a quiz.

        With the results if it is answered.
        """
        return Response(quiz_as_shown(QueryOptimizer.get_quiz_detail(pk, request.user)))

    @extend_schema(
        operation_id="createQuiz",
        request=QuizWriteSerializer,
        responses={201: QuizSerializer},
        parameters=[IDEMPOTENCY_KEY, ACCEPT_LANGUAGE, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Make a quiz.

        From your notes and their cards. Each question has exactly one right answer, which your own texts show. With too
        little material there are fewer questions, and a `notice`.
        """
        body = read_body(QuizWriteSerializer, request)
        language = preferred_language(request.headers.get("Accept-Language"))
        quiz = services.create_quiz(user_id=user_id_of(request), language=language, **body)
        location = f"/api/study/quizzes/{quiz.pk}/"
        return Response(quiz_as_shown(quiz), status=status.HTTP_201_CREATED, headers={"Location": location})

    @extend_schema(
        operation_id="answerQuiz", request=AnswersSerializer, responses=QuizSerializer, parameters=[IDEMPOTENCY_KEY]
    )
    @action(detail=True, methods=["post"])
    @idempotent
    def answers(self, request: Request, pk: UUID) -> Response:
        """Answer a quiz.

        Only once. A wrong answer to a question from a card adds a review `again` to that card, at most one per day.
        """
        body = read_body(AnswersSerializer, request)
        return Response(quiz_as_shown(services.answer_quiz(user_id=user_id_of(request), quiz_id=pk, **body)))


class RecallViewSet(FastReadMixin, viewsets.GenericViewSet[Recall]):
    """Topics explained from memory."""

    lookup_value_converter = "uuid"
    serializer_class = RecallSerializer
    errors = {"create": (NotFound,)}
    query_parameters = {"list": frozenset(PAGE_PARAMETERS)}
    read_specs = {"list": ReadSpec(), "retrieve": ReadSpec()}

    def get_queryset(self) -> QuerySet[Recall]:
        return QueryOptimizer.get_recalls_for_list(self.request.user)

    @extend_schema(operation_id="listRecalls", responses=RecallListSerializer(many=True))
    @cached_page
    def list(self, request: Request) -> Response:
        """List your recalls.

        Newest first. The last 100 are kept.
        """
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response([recall_as_listed(recall) for recall in page or ()])

    @extend_schema(operation_id="getRecall", responses=RecallSerializer)
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show a recall.

        As it was when you wrote it, even if the topic has changed since.
        """
        return Response(recall_as_shown(QueryOptimizer.get_recall_detail(pk, request.user)))

    @extend_schema(
        operation_id="createRecall",
        request=RecallWriteSerializer,
        responses={201: RecallSerializer},
        parameters=[IDEMPOTENCY_KEY, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Explain a topic from memory.

        The response says which passages your text covers, partly covers, misses or contradicts. It compares words, not
        meanings: see the documentation.
        """
        body = read_body(RecallWriteSerializer, request)
        recall = services.create_recall(user_id=user_id_of(request), **body)
        location = f"/api/study/recalls/{recall.pk}/"
        return Response(recall_as_shown(recall), status=status.HTTP_201_CREATED, headers={"Location": location})
