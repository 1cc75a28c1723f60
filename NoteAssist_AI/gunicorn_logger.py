"""gunicorn's logger without an access log: the application counts and logs each request itself."""

from typing import Any

from gunicorn.glogging import Logger as GunicornLogger


class Logger(GunicornLogger):
    access_log_enabled = False

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Do nothing. Where there is a ``logconfig_dict``, gunicorn makes each line, also if no handler takes it."""
