"""The download of cards as an Anki package."""

from django.conf import settings
from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from study import services
from study.anki.exporting import ExportTooLarge, cards_to_export, package_files
from study.serializers import ExportFilterSerializer
from utils.http.errors import NotFound
from utils.http.query import names_of
from utils.http.requests import read_query, user_id_of
from utils.query_optimization import QueryOptimizer
from utils.streaming import archives
from utils.streaming.slots import Download

APKG = "application/apkg"


class AnkiExportView(APIView):
    """Cards for Anki."""

    query_parameters = {"get": names_of(ExportFilterSerializer)}
    errors = {"get": (NotFound, ExportTooLarge, archives.TooManyExports)}

    @extend_schema(
        operation_id="exportCards",
        parameters=[
            ExportFilterSerializer,
            OpenApiParameter(
                "Content-Disposition",
                str,
                OpenApiParameter.HEADER,
                response=[200],
                description="Suggests a file name.",
            ),
        ],
        responses={(200, APKG): OpenApiResponse(OpenApiTypes.BINARY, "A package of Anki.")},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download cards for Anki.

        All cards but proposed ones, or those of one note or tag: texts, pictures, tags, schedules. A later package
        updates the same cards in Anki. Only one download may run at a time; a second one gets a 503.
        """
        filters = read_query(ExportFilterSerializer, request.query_params)
        user_id = user_id_of(request)
        if "note" in filters:
            QueryOptimizer.require_note(filters["note"], request.user)
        card_ids = cards_to_export(user_id, filters)
        files = package_files(services.get_settings(user_id=user_id), card_ids, timezone.now())
        package = Download(
            request._request,
            archives.zip_chunks(files),
            user_id=user_id,
            limiter=archives.limiter,
            at_most=settings.EXPORTS_AT_ONCE,
        )
        headers = {"Content-Disposition": 'attachment; filename="noteassist.apkg"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(package, content_type=APKG, headers=headers)
