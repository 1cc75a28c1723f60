"""Ways to find notes: their tags, and what they say."""

from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notes import reads
from notes.search import SearchTerms
from notes.serializers import SearchResultsSerializer, SearchSerializer, TagSerializer, search_results
from notes.views.common import NotePages, read_query
from utils.pages import FastRead, FastReads, fast_read
from utils.query_optimization import SEARCH_RESULTS_MAX, QueryOptimizer
from utils.rendering import Rendered, render
from utils.requests import ReadRequest, user_id_of


class TagViewSet(NotePages, viewsets.GenericViewSet):
    """Tags of the user's notes."""

    pagination_class = None
    serializer_class = TagSerializer

    @fast_read
    def list(self, request: Request) -> Response:
        """List the tags that are in use, the most used first."""
        return Response(list(QueryOptimizer.get_tags(request.user)))


def render_search(request: ReadRequest, user_id: int) -> Rendered:
    terms = SearchTerms.parse(read_query(SearchSerializer, request.GET)["q"])
    notes, topics = reads.search(terms, user_id=user_id)
    return render({"results": search_results(notes, topics, at_most=SEARCH_RESULTS_MAX)})


class SearchView(FastReads, APIView):
    """Full-text search."""

    fast_reads = {"get": FastRead(renderer=render_search)}

    @extend_schema(parameters=[SearchSerializer], responses=SearchResultsSerializer)
    @fast_read
    def get(self, request: Request) -> Rendered:
        """Find the notes and topics that fit best."""
        return render_search(request._request, user_id_of(request))
