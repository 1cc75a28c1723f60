"""gunicorn's worker of greenlets, for the process that holds event streams."""

import os
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from utils.http.refusals import Refusal

_OF_BODIES = {"CONTENT-LENGTH", "TRANSFER-ENCODING"}
_DISCARDED_SECONDS = 2
_DISCARDED_BYTES = 4 * 1024 * 1024
_STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
_OF_THE_RESPONSE = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class EventsWorker(GeventWorker):
    """Ends as if it were told to when its master was killed; gunicorn's would cut all its streams off."""

    log: Any

    def notify(self) -> Any:
        AsyncWorker.notify(self)  # past GeventWorker's, which exits
        if self.ppid != os.getppid():
            self.alive = False

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        """A connection ends after a request with a body, which nothing here needs.

        gunicorn would read it in small steps, each of which copies the rest, and all streams would wait.
        """
        has_body = any(name in _OF_BODIES for name, _ in req.headers)
        if not has_body:
            return super().handle_request(listener_name, req, sock, addr)
        req.force_close()
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            util.close_graceful(sock, _DISCARDED_SECONDS, _DISCARDED_BYTES)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Respond to a malformed request, or to an error of the application.

        gunicorn's own response is HTML, and it logs the client's address and the request line, which may hold a token.
        """
        is_of_the_client = isinstance(exc, errors.ParseException) and not isinstance(exc, _OF_THE_RESPONSE)
        refusal = Refusal(
            _STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST) if is_of_the_client else HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if is_of_the_client:
            fields = {"status": refusal.status.value, "why": type(exc).__name__, "request_id": refusal.request_id}
            self.log.info("refused", extra={"fields": fields})
        else:
            fields = {"request_id": refusal.request_id}
            self.log.error("A request could not be carried out.", exc_info=exc, extra={"fields": fields})
        with suppress(OSError):  # the client has gone, or takes nothing
            util.write_nonblock(client, refusal.as_bytes())
