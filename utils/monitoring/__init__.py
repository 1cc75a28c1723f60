"""Observability: log lines, metrics, traces and error reports. None of them contains text of users."""
