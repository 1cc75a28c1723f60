"""``Idempotency-Key``: requests that create something and may be sent twice.

A key belongs to one user and one route for 24 hours; it is read after authentication. The stored response is written
in the same transaction as the effect, so there is never one without the other.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from hashlib import blake2b, sha256
from typing import Any

import orjson
from django.db import connection, transaction
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from utils.database.batching import delete_in_batches
from utils.http.errors import ApplicationError, Conflict, FieldError
from utils.http.json import MEDIA_TYPE, dumps
from utils.http.requests import user_id_of
from utils.models import KEY_MAX_LENGTH, IdempotencyRecord

LIFETIME = timedelta(hours=24)
BYTES_PER_USER = 10 * 1024 * 1024
"""The maximum of stored response bodies. The oldest are dropped first; their keys stay known, so no request is
carried out twice.
"""

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": KEY_MAX_LENGTH, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="A name that you choose for this request, such as a UUID. The same key and body within 24 "
    "hours get the stored response; nothing is carried out again.",
)
"""The header's parameter in the API's description."""

_PRINTABLE = re.compile(rf"[\x20-\x7e]{{1,{KEY_MAX_LENGTH}}}")
_STORED_HEADERS = {"Location": "location", "ETag": "etag"}


class InvalidIdempotencyKey(ApplicationError):
    code = "invalid_idempotency_key"
    detail = f"Idempotency-Key must be 1 to {KEY_MAX_LENGTH} printable ASCII characters."


class IdempotencyKeyReused(ApplicationError):
    code = "idempotency_key_reused"
    status_code = 422
    detail = "This Idempotency-Key was used for another request."


class AnswerNotKept(Conflict):
    """The request was carried out, but its response is no longer stored; ``Location`` names the created resource."""

    code = "answer_not_kept"
    detail = "This request was already carried out, but its response is no longer stored."


class RequestInFlight(Conflict):
    code = "request_in_flight"
    detail = "A request with this Idempotency-Key is still running."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


def idempotent(method: Callable[..., Response]) -> Callable[..., Response | HttpResponse]:
    """Decorate a view method that creates something, so that it honours ``Idempotency-Key``. The header is optional.

    Only 2xx responses are stored: after an error the key can be used again.
    """

    @wraps(method)
    def respond(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response | HttpResponse:
        return respond_once(request, lambda: request.data, lambda: method(self, request, *args, **kwargs))

    return respond


def respond_once(
    request: Request, comparable_body: Callable[[], Any], respond: Callable[[], Response]
) -> Response | HttpResponse:
    """Honour the request's ``Idempotency-Key``, if it has one: the same as ``idempotent``, for a part of a view.

    ``comparable_body`` returns JSON that is equal for equal bodies.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return respond()
    if not _PRINTABLE.fullmatch(key):
        raise InvalidIdempotencyKey
    user_id, route = user_id_of(request), request.path
    body_hash = sha256(orjson.dumps(comparable_body(), option=orjson.OPT_SORT_KEYS)).digest()
    with transaction.atomic():
        _lock(user_id, route, key)
        stored = IdempotencyRecord.objects.filter(
            user_id=user_id, route=route, key=key, created_at__gt=timezone.now() - LIFETIME
        ).first()
        if stored is not None:
            return _replay(stored, body_hash)
        response = respond()
        if response.status_code < 300:
            _store(user_id, route, key, body_hash, response)
    return response


def purge_expired() -> int:
    """Delete expired records in bounded batches; return how many."""
    return delete_in_batches(IdempotencyRecord.objects.filter(created_at__lt=timezone.now() - LIFETIME))


def _lock(user_id: int, route: str, key: str) -> None:
    """Lock the key until the transaction ends. Raises ``RequestInFlight`` if another request holds it."""
    digest = blake2b(f"{user_id}\n{route}\n{key}".encode(), digest_size=8).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(digest, signed=True)])
        (locked,) = cursor.fetchone()
    if not locked:
        raise RequestInFlight


def _replay(stored: IdempotencyRecord, body_hash: bytes) -> HttpResponse:
    if bytes(stored.body_hash) != body_hash:
        error: FieldError = {
            "pointer": "",
            "code": IdempotencyKeyReused.code,
            "detail": "The body differs from the first one.",
        }
        raise IdempotencyKeyReused(errors=[error])
    headers = {header: value for header, column in _STORED_HEADERS.items() if (value := getattr(stored, column))}
    if not stored.body:
        raise AnswerNotKept(headers=headers)
    response = HttpResponse(bytes(stored.body), status=stored.status, content_type=MEDIA_TYPE, headers=headers)
    response["Idempotent-Replayed"] = "true"
    return response


def _store(user_id: int, route: str, key: str, body_hash: bytes, response: Response) -> None:
    values = {
        "body_hash": body_hash,
        "status": response.status_code,
        "body": dumps(response.data),
        "created_at": timezone.now(),
        **{column: response.get(header, "") for header, column in _STORED_HEADERS.items()},
    }
    # An expired record that is not purged yet is overwritten; this request holds the key's lock.
    IdempotencyRecord.objects.update_or_create(user_id=user_id, route=route, key=key, defaults=values)
    _drop_oldest_responses(user_id)


def _drop_oldest_responses(user_id: int) -> None:
    """Empty the user's oldest stored responses, so that ``BYTES_PER_USER`` are kept.

    PostgreSQL knows their lengths without reading them. Rows that another request of the user has locked are skipped,
    as that request empties them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE utils_idempotencyrecord SET body = '' WHERE id IN (
                SELECT id FROM utils_idempotencyrecord WHERE id IN (
                    SELECT id FROM (
                        SELECT id, sum(octet_length(body)) OVER (ORDER BY created_at DESC, id DESC) AS bytes
                        FROM utils_idempotencyrecord WHERE user_id = %s AND octet_length(body) > 0
                    ) AS newest_first WHERE bytes > %s
                ) FOR NO KEY UPDATE SKIP LOCKED
            )
            """,
            [user_id, BYTES_PER_USER],
        )
