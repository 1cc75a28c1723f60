"""The view of ``/metrics``, for Prometheus."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST

from utils.http.errors import not_found_response, problem_response
from utils.monitoring import exporter


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics of the web processes and of the site. It requires ``METRICS_TOKEN``; a 404 if that is not set."""
    if not settings.METRICS_TOKEN:
        return not_found_response(request)
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.METRICS_TOKEN):
        return problem_response(
            request,
            status=401,
            code="not_authenticated",
            detail="Send METRICS_TOKEN as a bearer token.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return HttpResponse(
        exporter.document(with_site=True), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )
