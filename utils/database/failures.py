"""PostgreSQL errors that a retry does not fix."""

from django.db import Error

_DISK_FULL = "53100"
_LASTING_CLASSES = ("22", "54")
"""SQLSTATE classes: data exceptions, and PostgreSQL's own limits, such as 256 MB for a JSON document."""


def _sqlstate(error: Error) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def is_disk_full(error: Error) -> bool:
    return _sqlstate(error) == _DISK_FULL


def is_lasting(error: Error) -> bool:
    """Whether the same statement will fail again, at least until an operator has freed disk space."""
    return is_disk_full(error) or _sqlstate(error).startswith(_LASTING_CLASSES)
