"""Observability: log lines, metrics, traces and error reports. None of them contains what a user wrote."""
