"""Finding notes: by tags, by links, and by full-text search."""

from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notes import reads
from notes.search.query import SearchTerms, parse
from notes.search_serializers import SearchResultsSerializer, search_facets, search_results
from notes.serializers import BrokenLinkSerializer, SearchSerializer, TagSerializer
from notes.views.common import NotePages, link_page
from utils.http.pagination import PAGE_PARAMETERS, ForwardCursorPagination
from utils.http.query import names_of
from utils.http.rendering import Rendered, render
from utils.http.requests import read_query, user_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer


class TagViewSet(NotePages, viewsets.GenericViewSet):
    """Tags of the user's notes."""

    pagination_class = None
    serializer_class = TagSerializer

    @extend_schema(operation_id="listTags")
    @cached_page
    def list(self, request: Request) -> Response:
        """List your tags.

        The tags of notes outside the trash, the most used first.
        """
        return Response(list(QueryOptimizer.get_tags(request.user)))


class BrokenLinkViewSet(viewsets.GenericViewSet):
    """Broken links."""

    serializer_class = BrokenLinkSerializer
    pagination_class = ForwardCursorPagination
    query_parameters = {"list": PAGE_PARAMETERS}

    @extend_schema(operation_id="listBrokenLinks")
    def list(self, request: Request) -> Response:
        """List broken links.

        `[[links]]` in notes outside the trash, if no note has that title, or the linked note is in the trash.
        """
        return link_page(self, reads.broken_links(user_id_of(request)), BrokenLinkSerializer)


def render_search(request: HttpRequest, user_id: int) -> Rendered:
    asked = read_query(SearchSerializer, request.GET)
    query = parse(asked["q"])
    terms = SearchTerms.of(query, user_id=user_id)
    found = search_results(query, *reads.search(terms, user_id=user_id))
    if asked.get("facets"):
        found["facets"] = search_facets(reads.facets(terms, user_id=user_id))
    return render(found)


class SearchView(FastReadMixin, APIView):
    """Full-text search."""

    query_parameters = {"get": names_of(SearchSerializer)}
    read_specs = {"get": ReadSpec(renderer=render_search)}

    @extend_schema(operation_id="search", parameters=[SearchSerializer], responses=SearchResultsSerializer)
    @cached_page
    def get(self, request: Request) -> Rendered:
        """Search your notes.

        Finds the notes and topics that have every word, the best first, each with a snippet that marks the words. If
        there are many matches, only the newest, at most 1,000, are compared.
        """
        return render_search(request._request, user_id_of(request))
