"""Django's WSGI handler, for chunked bodies too."""

from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

from utils.http.uploads import max_upload_bytes


class Request(WSGIRequest):
    """Gives a chunked body a content length, without which Django and REST framework would ignore the body.

    The body is read up to one byte beyond the limit, which is enough to refuse it. The body of an upload is not read
    here: until its view finds the end, its length counts as one byte beyond the limit.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        if "HTTP_TRANSFER_ENCODING" in environ and "CONTENT_LENGTH" not in environ:
            upload = max_upload_bytes(environ["REQUEST_METHOD"], environ["PATH_INFO"])
            if upload is None:
                body = environ["wsgi.input"].read(settings.MAX_BODY_BYTES + 1)
                environ["wsgi.input"] = BytesIO(body)
                environ["CONTENT_LENGTH"] = str(len(body))
            else:
                environ["CONTENT_LENGTH"] = str(upload + 1)
        super().__init__(environ)


class Handler(WSGIHandler):
    request_class = Request
