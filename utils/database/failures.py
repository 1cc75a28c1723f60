"""PostgreSQL errors that a retry does not fix."""

from django.db import Error

_DISK_FULL = "53100"
_LASTING_CLASSES = ("22", "54")
"""Data exceptions, and limits of PostgreSQL that a statement exceeds, as a JSON document of 256 MB."""


def _sqlstate(error: Error) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def is_disk_full(error: Error) -> bool:
    return _sqlstate(error) == _DISK_FULL


def is_lasting(error: Error) -> bool:
    """Whether the same statement will fail again: until an operator has made room, or for ever."""
    return is_disk_full(error) or _sqlstate(error).startswith(_LASTING_CLASSES)
