"""gunicorn's worker of greenlets, for the process that holds event streams."""

import os
from typing import Any

from gunicorn import util
from gunicorn.workers.base_async import AsyncWorker
from gunicorn.workers.ggevent import GeventWorker

from NoteAssist_AI.gunicorn_refusals import Refusing

_OF_BODIES = {"CONTENT-LENGTH", "TRANSFER-ENCODING"}
_DISCARDED_SECONDS = 2
_DISCARDED_BYTES = 4 * 1024 * 1024


class Worker(Refusing, GeventWorker):
    """Ends as if it were told to when its master was killed; gunicorn's would cut all its streams off."""

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
