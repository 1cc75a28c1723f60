"""Cards of the signed-in user."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from study import services
from study.blocks import NotTiedToBlock, PassageGone
from study.models import Card
from study.serializers import (
    CardFilterSerializer,
    CardSerializer,
    CardWriteSerializer,
    DecidedSerializer,
    DecisionSerializer,
)
from study.services.statements import CardWithFaces
from study.shown import card_as_shown
from utils.http.errors import NotFound
from utils.http.idempotency import IDEMPOTENCY_KEY, idempotent
from utils.http.query import names_of
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page, opaque_etags
from utils.query_optimization import QueryOptimizer

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The `ETag` that you received: the version, quoted: `"3"`. If it has changed since, nothing is '
    "written and the response is a 412 with `current_version`.",
)
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="The version tag of the response, for `If-Match`.",
)
LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[201], description="Relative link to it."
)
_VERSION = re.compile("[0-9]{1,9}")


class CardViewSet(FastReadMixin, viewsets.GenericViewSet[Card]):
    """Cards. Their schedules are computed from the reviews."""

    lookup_value_converter = "uuid"
    serializer_class = CardSerializer
    errors = {
        "create": (NotFound, services.TooManyCards, services.CardsFull),
        "update": (services.CardsFull,),
        "partial_update": (services.CardsFull,),
        "decide": (NotFound, services.CardDecided, services.CardsFull),
        "confirm": (NotTiedToBlock, PassageGone, services.CardsFull),
    }
    query_parameters = {"list": names_of(CardFilterSerializer, paginated=True)}
    read_specs = {"list": ReadSpec(), "retrieve": ReadSpec()}

    def get_queryset(self) -> QuerySet[Card]:
        filters = read_query(CardFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_cards_for_list(self.request.user, filters)

    @extend_schema(operation_id="listCards", parameters=[CardFilterSerializer])
    @cached_page
    def list(self, request: Request) -> Response:
        """List your cards.

        Newest first. Suspended and proposed cards are included, and cards of notes in the trash.
        """
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response([card_as_shown(card) for card in page or ()])

    @extend_schema(operation_id="getCard", responses=CardSerializer)
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Response:
        """Show a card.

        With the schedules of its faces. Its `ETag` is its version, which a review increases too.
        """
        return _versioned(card_as_shown(QueryOptimizer.get_card_detail(pk, request.user)))

    @extend_schema(
        operation_id="createCard",
        request=CardWriteSerializer,
        responses={201: CardSerializer},
        parameters=[IDEMPOTENCY_KEY, ETAG, LOCATION],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """Add a card.

        It is new, and is asked when the daily limit of new cards allows it.
        """
        body = read_body(CardWriteSerializer, request)
        response = _shown(services.create_card(user_id=user_id_of(request), data=body))
        response.status_code = status.HTTP_201_CREATED
        response["Location"] = f"/api/study/cards/{response.data['id']}/"
        return response

    @extend_schema(
        operation_id="replaceCard",
        request=CardWriteSerializer,
        responses=CardSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    def update(self, request: Request, pk: UUID, partial: bool = False) -> Response:
        """Replace the content of a card.

        Its schedules stay. An omitted field gets its default.
        """
        card = QueryOptimizer.get_card_detail(pk, request.user) if partial else None
        body = read_body(CardWriteSerializer, request, partial=partial, context={"card": card})
        return _shown(
            services.update_card(
                user_id=user_id_of(request), card_id=pk, changes=body, if_match=expected_versions(request)
            )
        )

    @extend_schema(
        operation_id="updateCard", request=CardWriteSerializer, responses=CardSerializer, parameters=[IF_MATCH, ETAG]
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change part of a card's content.

        Its schedules stay. Unchanged values do not change its version.
        """
        return self.update(request, pk, partial=True)

    @extend_schema(
        operation_id="deleteCard",
        parameters=[IF_MATCH],
        responses={204: OpenApiResponse(description="The card was deleted.")},
    )
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete a card.

        Its reviews stay in your history.
        """
        services.delete_card(user_id=user_id_of(request), card_id=pk, if_match=expected_versions(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="suspendCard", request=None, responses=CardSerializer, parameters=[IF_MATCH, ETAG])
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, pk: UUID) -> Response:
        """Suspend a card.

        It is not due until you resume it. Its schedules stay.
        """
        return self._write(services.suspend_card, pk, suspended=True)

    @extend_schema(operation_id="unsuspendCard", request=None, responses=CardSerializer, parameters=[IF_MATCH, ETAG])
    @action(detail=True, methods=["post"])
    def unsuspend(self, request: Request, pk: UUID) -> Response:
        """Resume a suspended card.

        It is due again according to its schedules.
        """
        return self._write(services.suspend_card, pk, suspended=False)

    @extend_schema(operation_id="resetCard", request=None, responses=CardSerializer, parameters=[IF_MATCH, ETAG])
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, pk: UUID) -> Response:
        """Reset a card.

        It becomes new again. Its reviews stay in your history.
        """
        return self._write(services.reset_card, pk)

    @extend_schema(operation_id="confirmCard", request=None, responses=CardSerializer, parameters=[IF_MATCH, ETAG])
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: UUID) -> Response:
        """Confirm that a card is still right.

        It is no longer stale: from now on it is compared with the present text of its passage.
        """
        return self._write(services.confirm_card, pk)

    @extend_schema(operation_id="decideCards", request=DecisionSerializer, responses=DecidedSerializer)
    @action(detail=False, methods=["post"])
    def decide(self, request: Request) -> Response:
        """Accept or reject proposed cards.

        Accepted cards become new; rejected cards are deleted. An accepted card that replaces a stale card gives that
        card its content. The replaced card keeps its id and history; `schedule` decides whether it keeps its schedule.
        All or nothing.
        """
        body = read_body(DecisionSerializer, request)
        accepted = services.decide_cards(user_id=user_id_of(request), **body)
        return Response({"cards": [card_as_shown(*found) for found in accepted]})

    def _write(self, service: Callable[..., CardWithFaces], card_id: UUID, **values: Any) -> Response:
        user_id, if_match = user_id_of(self.request), expected_versions(self.request)
        return _shown(service(user_id=user_id, card_id=card_id, if_match=if_match, **values))


def expected_versions(request: Request) -> list[int] | None:
    """The versions in ``If-Match``; None if any is accepted. An ETag that is not a version matches nothing."""
    header = request.headers.get("If-Match")
    etags = None if header is None else opaque_etags(header)
    if etags is None or "*" in etags:
        return None
    return [int(etag) for etag in etags if _VERSION.fullmatch(etag)]


def _shown(found: CardWithFaces) -> Response:
    return _versioned(card_as_shown(*found))


def _versioned(data: dict[str, Any]) -> Response:
    return Response(data, headers={"ETag": f'"{data["version"]}"'})
