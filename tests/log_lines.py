"""What a log line would say, for tests."""

import logging

from utils.monitoring import logs


class RequestIdFilter(logging.Filter):
    """Notes on a record the request that its line names."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = logs.fields_of(record).get("request_id")
        return True
