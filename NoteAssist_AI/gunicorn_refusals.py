"""What both kinds of gunicorn's workers answer to what is no request."""

from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors

from NoteAssist_AI.refusals import Refusal

_STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
_OF_THE_ANSWER = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class Refusing:
    """gunicorn answers with HTML, and logs the client's address and the line of its request, which may hold a token."""

    log: Any

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """gunicorn's hook for requests that it cannot read, and for errors of the application."""
        is_of_the_client = isinstance(exc, errors.ParseException) and not isinstance(exc, _OF_THE_ANSWER)
        refusal = Refusal(
            _STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST) if is_of_the_client else HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if is_of_the_client:
            fields = {"status": refusal.status.value, "why": type(exc).__name__, "request_id": refusal.request_id}
            self.log.info("refused", extra={"fields": fields})
        else:
            fields = {"request_id": refusal.request_id}
            self.log.error("A request could not be carried out.", exc_info=exc, extra={"fields": fields})
        send(refusal, client)


def send(refusal: Refusal, client: Any) -> None:
    with suppress(OSError):  # the client has gone, or takes nothing
        util.write_nonblock(client, refusal.as_bytes())
