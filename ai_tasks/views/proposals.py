"""Proposals of the signed-in user."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from ai_tasks import proposals
from ai_tasks.models import Proposal
from ai_tasks.proposal_serializers import (
    DecidedProposalSerializer,
    HunkDecisionSerializer,
    ProposalFilterSerializer,
    ProposalSerializer,
    ProposalSummarySerializer,
)
from ai_tasks.proposals.current import shown_without_hunks
from ai_tasks.proposals.deciding import TextTooLarge
from notes.serializers import TopicSerializer
from notes.views.common import OVER_BUDGET
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_body, read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page, opaque_etags
from utils.query_optimization import QueryOptimizer

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of the proposal that you read. If a hunk has changed or drifted since, "
    "nothing is decided, and the response is a 412 `proposal_changed` with the current `hunks`.",
)
ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200], description="The version tag of the proposal, for `If-Match`."
)


class ProposalViewSet(FastReadMixin, viewsets.GenericViewSet[Proposal]):
    """What AI would change in your topics."""

    lookup_value_converter = "uuid"
    serializer_class = ProposalSummarySerializer
    errors = {
        "decide": (
            proposals.ProposalSuperseded, proposals.HunkDecided, proposals.ProposalDrifted, proposals.ProposalChanged,
            TextTooLarge, *OVER_BUDGET,
        ),
    }  # fmt: skip
    query_parameters = {"list": names_of(ProposalFilterSerializer, paginated=True)}
    read_specs = {"list": ReadSpec(), "retrieve": ReadSpec()}

    def get_queryset(self) -> QuerySet[Proposal]:
        filters = read_query(ProposalFilterSerializer, self.request.query_params)
        return QueryOptimizer.get_proposals_for_list(self.request.user, filters)

    @extend_schema(operation_id="listProposals", parameters=[ProposalFilterSerializer])
    @cached_page
    def list(self, request: Request) -> Response:
        """List proposals.

        Without their hunks, the newest first. Proposals for topics in the trash are left out.
        """
        rows: Any = self.paginate_queryset(self.get_queryset()) or ()
        return self.get_paginated_response([shown_without_hunks(row, row.note_id) for row in rows])

    @extend_schema(operation_id="getProposal", responses=ProposalSerializer, parameters=[ETAG])
    @cached_page
    def retrieve(self, request: Request, pk: UUID) -> Rendered:
        """Show a proposal.

        If the block of an open hunk has changed since, the hunk is `drifted` and shows the block's present text.
        """
        return render(proposals.shown(QueryOptimizer.get_proposal_detail(pk, request.user)))

    @extend_schema(
        operation_id="decideProposal",
        request=HunkDecisionSerializer,
        responses=DecidedProposalSerializer,
        parameters=[IF_MATCH, ETAG],
    )
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, pk: UUID) -> Response:
        """Decide about hunks.

        The accepted hunks are written at once, as one version of the note that can be restored. Later changes of other
        blocks stay. All or nothing: if one of the blocks to change has changed since, the response is a 412
        `proposal_drifted` with the current `hunks`. If you send the decision again, it applies to those.
        """
        body = read_body(HunkDecisionSerializer, request)
        decided = proposals.decide(
            user_id=user_id_of(request), proposal_id=pk, if_match=_expected_etags(request), **body
        )
        return Response(
            {"proposal": decided.proposal, "topic": TopicSerializer(decided.topic).data},
            headers={"ETag": f'"{render(decided.proposal).etag}"'},
        )


def _expected_etags(request: Request) -> list[str] | None:
    header = request.headers.get("If-Match")
    etags = None if header is None else opaque_etags(header)
    return None if etags is None or "*" in etags else etags
