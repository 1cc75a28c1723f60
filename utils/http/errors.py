"""The one format of all errors: ``application/problem+json`` (RFC 9457).

Expected failures are subclasses of :class:`ApplicationError`, declared next to the code that raises them and rendered
here. An unexpected exception becomes a 500: it is logged with its traceback, and the client gets only the request id.
"""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypedDict

import orjson
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt
from psycopg.errors import ForeignKeyViolation
from psycopg_pool import PoolTimeout
from rest_framework import exceptions as drf
from rest_framework.request import Request

from utils.database.failures import is_disk_full, is_lasting
from utils.http.status_titles import title_of

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
DATABASE_RETRY_SECONDS = 5


class FieldError(TypedDict):
    """One error in the request; ``pointer`` says where, see :func:`pointer_to`."""

    pointer: str
    code: str
    detail: str


class ApplicationError(Exception):
    """An expected failure, part of the API's contract.

    ``errors`` locate it in the request; ``headers`` are added to the response; ``extra`` are members of the document.
    """

    code = "bad_request"
    status_code: int = HTTPStatus.BAD_REQUEST
    detail = "The request cannot be carried out."

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        self.detail = detail or self.detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = extra
        super().__init__(self.detail)


class InvalidRequest(ApplicationError):
    code = "invalid"
    detail = "The request has invalid fields."


class NotFound(ApplicationError):
    """Also raised for another user's id, so that clients cannot learn whether it exists."""

    code = "not_found"
    status_code = HTTPStatus.NOT_FOUND
    detail = "Not found."


class Conflict(ApplicationError):
    code = "conflict"
    status_code = HTTPStatus.CONFLICT
    detail = "The resource's current state does not allow this."


class PreconditionFailed(ApplicationError):
    code = "precondition_failed"
    status_code = HTTPStatus.PRECONDITION_FAILED
    detail = "The resource has changed since you read it."


class Unavailable(ApplicationError):
    code = "unavailable"
    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    detail = "The service is temporarily unavailable."

    def __init__(self, detail: str | None = None, *, retry_after: int = DATABASE_RETRY_SECONDS, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class TooManyRequests(ApplicationError):
    code = "throttled"
    status_code = HTTPStatus.TOO_MANY_REQUESTS
    detail = "Too many requests."

    def __init__(self, detail: str | None = None, *, retry_after: int, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)}, **extra)


class StorageFull(ApplicationError):
    """PostgreSQL's disk is full. Without ``Retry-After``: it stays full until an operator has made room."""

    code = "storage_full"
    status_code = HTTPStatus.INSUFFICIENT_STORAGE
    detail = "The service has no storage space left."


def problem_response(
    request: HttpRequest | Request,
    *,
    status: int,
    code: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Render a problem document; it includes the request's id."""
    document = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": getattr(request, "request_id", None),
        "errors": list(errors),
        **(extra or {}),
    }
    response = HttpResponse(
        orjson.dumps(document), status=status, content_type=CONTENT_TYPE, headers=dict(headers or {})
    )
    response["Cache-Control"] = "no-store"
    return response


def not_found_response(request: HttpRequest | Request) -> HttpResponse:
    return problem_response(request, status=NotFound.status_code, code=NotFound.code, detail=NotFound.detail)


@csrf_exempt
def not_found(request: HttpRequest) -> HttpResponse:
    """The view of URLs without a route. If only the trailing slash is missing, the error names the correct URL."""
    with_slash = f"{request.path_info}/"
    if request.path_info.endswith("/") or resolve(with_slash).func is not_found:
        return not_found_response(request)
    return problem_response(
        request,
        status=NotFound.status_code,
        code=NotFound.code,
        detail=f"{NotFound.detail} Paths end with a slash: {request.path}/",
    )


@csrf_exempt
def only_streams_here(request: HttpRequest) -> HttpResponse:
    """The view of every URL that another process serves, in the process for event streams."""
    detail = "Only event streams are served here. Send this request to the API's own address."
    return problem_response(request, status=HTTPStatus.NOT_FOUND, code="only_streams_here", detail=detail)


def problem_exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's ``EXCEPTION_HANDLER``: renders every exception of a view as a problem document."""
    request = context["request"]
    error = as_application_error(exc)
    if error is None:
        return unexpected_error_response(request, exc)
    return problem_response(
        request,
        status=error.status_code,
        code=error.code,
        detail=error.detail,
        errors=error.errors,
        headers=error.headers,
        extra=error.extra,
    )


def unexpected_error_response(request: HttpRequest | Request, exc: Exception) -> HttpResponse:
    """Log and report an unexpected exception; respond with a 500 that does not reveal it."""
    plain_request = request._request if isinstance(request, Request) else request
    # The route, not the path: the paths of shared notes and calendars contain secrets.
    route = getattr(plain_request, "route", "unmatched")
    logger.error("Unexpected error at %s %s", request.method, route, exc_info=exc)
    got_request_exception.send(sender=None, request=plain_request)
    return problem_response(
        request,
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        code="internal_error",
        detail="Something went wrong on our side. Quote the request id when you report it.",
    )


def as_application_error(exc: Exception) -> ApplicationError | None:
    """Convert an expected exception of Django, DRF or psycopg; None for an unexpected one."""
    match exc:
        case ApplicationError():
            return exc
        case Http404() | ObjectDoesNotExist() | drf.NotFound():
            return NotFound()
        case PermissionDenied():
            return _from_drf(drf.PermissionDenied())
        case drf.ValidationError():
            return InvalidRequest(errors=field_errors(exc.get_full_details()))
        case drf.APIException():
            return _from_drf(exc)
        case RequestDataTooBig():
            return _from_status(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The request body is too large.")
        case SuspiciousOperation():
            return _from_status(HTTPStatus.BAD_REQUEST, "bad_request", "The request is malformed.")
        case IntegrityError() if _user_was_deleted(exc):
            return NotFound()
        case OperationalError() if is_disk_full(exc):
            logger.error("The database's disk is full: %s", exc)
            return StorageFull()
        case OperationalError() if is_lasting(exc):
            return None
        case OperationalError() | InterfaceError() | PoolTimeout():
            logger.warning("The database did not answer: %s", exc)
            return Unavailable("The database is unavailable. Try again later.")
    return None


def _user_was_deleted(error: IntegrityError) -> bool:
    """Whether the account was deleted while the request wrote rows for it, which only COMMIT detects."""
    cause = error.__cause__
    name = cause.diag.constraint_name if isinstance(cause, ForeignKeyViolation) else None
    return name is not None and name.endswith(f"_fk_{get_user_model()._meta.db_table}_id")


def _from_status(status: HTTPStatus, code: str, detail: str) -> ApplicationError:
    error = ApplicationError(detail)
    error.status_code, error.code = status, code
    return error


def _from_drf(exc: drf.APIException) -> ApplicationError:
    detail = exc.detail if isinstance(exc.detail, str) else exc.default_detail
    error = ApplicationError(str(detail))
    error.status_code = exc.status_code
    error.code = str(getattr(exc.detail, "code", exc.default_code))
    if challenge := getattr(exc, "auth_header", None):
        error.headers["WWW-Authenticate"] = challenge
    wait = getattr(exc, "wait", None)
    if wait is not None:
        error.headers["Retry-After"] = str(max(1, round(wait)))
    return error


def pointer_to(*path: object) -> str:
    """The JSON pointer (RFC 6901) to a part of the request."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def field_errors(details: Any, pointer: str = "") -> list[FieldError]:
    """Flatten DRF's nested error details to a list of errors with pointers."""
    if isinstance(details, dict) and isinstance(details.get("message"), str) and "code" in details:
        return [{"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}]
    found: list[FieldError] = []
    if isinstance(details, dict):
        for key, value in details.items():
            found += field_errors(value, pointer if key == "non_field_errors" else pointer + pointer_to(key))
    elif isinstance(details, list):
        for index, value in enumerate(details):
            is_leaf = isinstance(value, dict) and isinstance(value.get("message"), str) and "code" in value
            found += field_errors(value, pointer if is_leaf else f"{pointer}/{index}")
    return found
