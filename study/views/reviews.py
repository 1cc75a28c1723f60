"""The queue of the signed-in user, and the reviews that empty it. They count against a limit of their own."""

from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from study import services
from study.memory import next_intervals
from study.queue import DueFace, due_now
from study.review_serializers import DueFilterSerializer, DueSerializer, RecordedSerializer, ReviewsSerializer
from study.serializers import CardSerializer
from study.shown import card_as_shown
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page

SCOPES = ("study",)


def render_due(request: HttpRequest, user_id: int) -> Rendered:
    query = read_query(DueFilterSerializer, request.GET)
    settings = services.get_settings(user_id=user_id)
    now, terms = timezone.now(), settings.terms
    queue = due_now(settings, now, **query)

    def shown(due: DueFace) -> dict[str, object]:
        intervals = next_intervals(due.face, now, terms, card_id=due.card.id)
        return {**card_as_shown(due.card, due.faces), "face": due.n, "next": intervals}

    counts = {"new": queue.new, "learning": queue.learning, "review": queue.review}
    return render({"counts": counts, "results": [shown(due) for due in queue.faces]})


class DueView(FastReadMixin, APIView):
    """What is due now."""

    query_parameters = {"get": names_of(DueFilterSerializer)}
    read_specs = {"get": ReadSpec(renderer=render_due, scopes=SCOPES)}

    @extend_schema(operation_id="listDue", parameters=[DueFilterSerializer], responses=DueSerializer)
    @cached_page
    def get(self, request: Request) -> Rendered:
        """List what is due.

        Cards that are being learned, then reviews, then new ones. `counts` says what is left of today, before `limit`.
        Requests here have a limit of their own and count against no other.
        """
        return render_due(request._request, user_id_of(request))


class ReviewsView(APIView):
    """Reviews, as they were made."""

    throttle_scopes = SCOPES

    @extend_schema(operation_id="recordReviews", request=ReviewsSerializer, responses=RecordedSerializer)
    def post(self, request: Request) -> Response:
        """Record reviews.

        In any order, late, and more than once: each is recorded once by its `id`. One that is rejected says why and
        holds up no other.
        """
        body = read_body(ReviewsSerializer, request)
        outcomes, cards = services.record_reviews(user_id=user_id_of(request), reviews=body["reviews"])
        results = [
            {"id": outcome.id, "outcome": outcome.outcome, **({"code": outcome.code} if outcome.code else {})}
            for outcome in outcomes
        ]
        return Response({"results": results, "cards": [card_as_shown(*found) for found in cards]})


class UndoView(APIView):
    """Takes a review back."""

    throttle_scopes = SCOPES
    errors = {"post": (services.NotTheLastReview, services.AlreadyUndone)}

    @extend_schema(operation_id="undoReview", request=None, responses=CardSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Undo a review.

        Only the last one of its card. The card is as it was before; the answer shows it.
        """
        return Response(card_as_shown(*services.undo_review(user_id=user_id_of(request), review_id=pk)))
