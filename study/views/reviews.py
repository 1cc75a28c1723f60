"""The queue of the signed-in user, and its reviews. They have a rate limit of their own."""

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
    """The queue of due cards."""

    query_parameters = {"get": names_of(DueFilterSerializer)}
    read_specs = {"get": ReadSpec(renderer=render_due, scopes=SCOPES)}

    @extend_schema(operation_id="listDue", parameters=[DueFilterSerializer], responses=DueSerializer)
    @cached_page
    def get(self, request: Request) -> Rendered:
        """List due cards.

        Cards in learning steps, then reviews, then new cards. `counts` gives the numbers left for today, regardless of
        `limit`. These requests have a rate limit of their own and count towards no other.
        """
        return render_due(request._request, user_id_of(request))


class ReviewsView(APIView):
    """Records reviews."""

    throttle_scopes = SCOPES

    @extend_schema(operation_id="recordReviews", request=ReviewsSerializer, responses=RecordedSerializer)
    def post(self, request: Request) -> Response:
        """Record reviews.

        In any order, late, or repeatedly: each is recorded once by its `id`. A rejected review comes with a reason and
        does not affect the others.
        """
        body = read_body(ReviewsSerializer, request)
        outcomes, cards = services.record_reviews(user_id=user_id_of(request), reviews=body["reviews"])
        results = [
            {"id": outcome.id, "outcome": outcome.outcome, **({"code": outcome.code} if outcome.code else {})}
            for outcome in outcomes
        ]
        return Response({"results": results, "cards": [card_as_shown(*found) for found in cards]})


class UndoView(APIView):
    """Undoes a review."""

    throttle_scopes = SCOPES
    errors = {"post": (services.NotTheLastReview, services.AlreadyUndone)}

    @extend_schema(operation_id="undoReview", request=None, responses=CardSerializer)
    def post(self, request: Request, pk: UUID) -> Response:
        """Undo a review.

        Only a card's last review can be undone. The response shows the card, as it was before that review.
        """
        return Response(card_as_shown(*services.undo_review(user_id=user_id_of(request), review_id=pk)))
