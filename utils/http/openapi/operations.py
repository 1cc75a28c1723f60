"""The description of one operation."""

from collections.abc import Iterator, Sequence
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc

from utils.http.errors import (
    ApplicationError,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    StorageFull,
    TooManyRequests,
    Unavailable,
)
from utils.http.idempotency import AnswerNotKept, IdempotencyKeyReused, InvalidIdempotencyKey, RequestInFlight
from utils.http.json import BodyTooLarge, InvalidJSON
from utils.http.openapi.headers import Schema, add_headers
from utils.http.openapi.problems import LITERALS_BY_CODE, Code, code_of, problem_responses
from utils.http.pagination import InvalidCursor


class ApiSchema(AutoSchema):
    """Describes a view's method.

    The first line of the method's docstring is the summary, the rest the description. The view's ``errors`` lists the
    errors specific to it, by action or by method (``"get"``); errors that all views have are added here.
    """

    def get_summary(self) -> str | None:
        summary, _, _ = self._docstring().partition("\n")
        return summary.rstrip(".")

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular also returns None
        _, _, description = self._docstring().partition("\n")
        return description.strip()

    def _docstring(self) -> str:
        return get_doc(getattr(self.view, self._name()))

    def _name(self) -> str:
        return getattr(self.view, "action", None) or self.method.lower()

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        is_public = not self.view.get_authenticators()
        if is_public:
            operation["security"] = []
        if body := getattr(self.view, "delete_bodies", {}).get(self._name()):  # drf-spectacular omits bodies of DELETE
            schema = self.resolve_serializer(body, "request").ref
            operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
        if "requestBody" in operation:
            is_optional = self._name() in getattr(self.view, "optional_bodies", ())
            operation["requestBody"]["required"] = not is_optional  # an empty body is `{}`
        parameters = {parameter["name"] for parameter in operation.get("parameters", ())}
        is_fast_read = self._name() in getattr(self.view, "read_specs", {})
        codes = list(self._codes(parameters, is_public=is_public, has_body="requestBody" in operation))
        responses = operation["responses"]
        if is_fast_read:
            responses["304"] = {"description": "Not modified since the tag in `If-None-Match`."}
            operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IfNoneMatch"})
        responses.update(problem_responses(codes))
        add_headers(
            responses,
            is_limited="429" in responses,
            is_fast_read=is_fast_read,
            is_idempotent="Idempotency-Key" in parameters,
        )
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def _codes(self, parameters: set[str], *, is_public: bool, has_body: bool) -> Iterator[Code]:
        own: Sequence[type[ApplicationError]] = getattr(self.view, "errors", {}).get(self._name(), ())
        errors: list[type[ApplicationError]] = [InvalidRequest, *own]
        if has_body:
            errors += [InvalidJSON, BodyTooLarge]
            yield LITERALS_BY_CODE["parse_error"]
            yield LITERALS_BY_CODE["unsupported_media_type"]
        if not is_public:
            errors += [TooManyRequests]
            yield LITERALS_BY_CODE["not_authenticated"]
            yield Code(401, "token_invalid", "The token is invalid or has expired.")
        if not is_public or self.method != "GET":
            errors += [Unavailable]
        if self.method != "GET":
            errors += [StorageFull]
        if "{" in self.path:
            errors += [NotFound]
        if "cursor" in parameters:
            errors += [InvalidCursor]
        if "If-Match" in parameters:
            errors += [PreconditionFailed]
        if "Idempotency-Key" in parameters:
            errors += [InvalidIdempotencyKey, IdempotencyKeyReused, RequestInFlight, AnswerNotKept]
        yield from map(code_of, errors)
