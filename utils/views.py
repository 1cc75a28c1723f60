"""Views that belong to no application."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from utils.exceptions import not_found_response


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """Answer every URL that matched nothing, also one without its trailing slash."""
    return not_found_response(request)
