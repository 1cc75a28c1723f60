"""Creating requests that may be sent twice: ``Idempotency-Key``.

The key is looked at after authentication and belongs to one user and one route for 24 hours. The stored answer is
written in the transaction of the effect itself, so there is never one without the other.
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
from rest_framework.request import Request
from rest_framework.response import Response

from utils.batching import delete_in_batches
from utils.exceptions import ApplicationError, Conflict, FieldError
from utils.json import MEDIA_TYPE, dumps
from utils.models import KEY_MAX_LENGTH, IdempotencyRecord
from utils.requests import user_id_of

LIFETIME = timedelta(hours=24)

_PRINTABLE = re.compile(rf"[\x20-\x7e]{{1,{KEY_MAX_LENGTH}}}")
_STORED_HEADERS = {"Location": "location", "ETag": "etag"}


class InvalidIdempotencyKey(ApplicationError):
    code = "invalid_idempotency_key"
    detail = f"Idempotency-Key must be 1 to {KEY_MAX_LENGTH} printable ASCII characters."


class IdempotencyKeyReused(ApplicationError):
    code = "idempotency_key_reused"
    status_code = 422
    detail = "This Idempotency-Key was used for another request."


class RequestInFlight(Conflict):
    code = "request_in_flight"
    detail = "A request with this Idempotency-Key is being carried out."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "1"})


def idempotent(method: Callable[..., Response]) -> Callable[..., Response | HttpResponse]:
    """Let a creating view method honour ``Idempotency-Key``; without the header it is called as it is.

    Only answers of 2xx are stored: an error leaves the key free for another try.
    """

    @wraps(method)
    def answer(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response | HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return method(self, request, *args, **kwargs)
        if not _PRINTABLE.fullmatch(key):
            raise InvalidIdempotencyKey
        route = request.path
        body_hash = sha256(orjson.dumps(request.data, option=orjson.OPT_SORT_KEYS)).digest()
        with transaction.atomic():
            _lock(user_id_of(request), route, key)
            stored = IdempotencyRecord.objects.filter(
                user_id=user_id_of(request), route=route, key=key, created_at__gt=timezone.now() - LIFETIME
            ).first()
            if stored is not None:
                return _replay(stored, body_hash)
            response = method(self, request, *args, **kwargs)
            if response.status_code < 300:
                _store(user_id_of(request), route, key, body_hash, response)
        return response

    return answer


def purge_expired() -> int:
    """Delete the records that have expired, in bounded batches; how many there were."""
    return delete_in_batches(IdempotencyRecord.objects.filter(created_at__lt=timezone.now() - LIFETIME))


def _lock(user_id: int, route: str, key: str) -> None:
    """Hold the key until the transaction ends; who comes meanwhile is told to come back."""
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
    response = HttpResponse(bytes(stored.body), status=stored.status, content_type=MEDIA_TYPE)
    for header, column in _STORED_HEADERS.items():
        if value := getattr(stored, column):
            response[header] = value
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
    # A record that has expired but is not purged yet is overwritten; nobody else holds the key's lock.
    IdempotencyRecord.objects.update_or_create(user_id=user_id, route=route, key=key, defaults=values)
