"""Whether a note's passages can be found by what they mean."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ai_tasks.embeddings.states import indexing_of
from ai_tasks.indexing_serializers import IndexingSerializer
from utils.http.requests import user_id_of


class NoteIndexingView(APIView):
    """The indexing of a note."""

    @extend_schema(operation_id="getNoteIndexing", responses=IndexingSerializer)
    def get(self, request: Request, pk: str) -> Response:
        """Show how far a note is indexed.

        Questions find passages by their words at once, and by their meaning as soon as the note is `current`, about
        half a minute after its last change. `off`: this service has no embeddings.
        """
        return Response(IndexingSerializer(indexing_of(int(pk), user_id=user_id_of(request))).data)
