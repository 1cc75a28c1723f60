"""The personal data of each app: what it adds to a user's export, and what is deleted with the account.

Every app has a module ``personal_data`` that registers its part. ``accounts`` runs exports and deletions.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
from django.apps import apps
from django.db.models import Model, QuerySet

from utils.database.batching import batch_query

File = tuple[str, Iterable[bytes]]
"""A file in the archive: its name, and its content in pieces."""


def _decimal(value: object) -> str:
    """Amounts of money as text, since a JSON number may be read inexactly."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


to_json = partial(orjson.dumps, default=_decimal, option=orjson.OPT_UTC_Z)


def _no_keys(_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Rows:
    """A user's rows in one table, to be deleted in batches, and the Redis keys that belong to rows of given ids."""

    queryset: QuerySet[Any]
    redis_keys: Callable[[Sequence[Any]], Iterable[str]] = _no_keys


@dataclass(frozen=True, slots=True)
class PersonalData:
    """One app's part. Each function takes the user's id."""

    rows: Callable[[int], Sequence[Rows]]
    """The rows to delete, referencing rows first. Other rows are deleted with the user's row, by cascade."""
    files: Callable[[int], Iterator[File]] = lambda user_id: iter(())
    """The files to export, generated while they are sent."""
    exported: Sequence[type[Model]] = ()
    """The models whose rows are in ``files``."""
    withheld: Mapping[type[Model], str] = field(default_factory=dict)
    """The models whose rows are not exported, each with the reason."""
    redis_keys: Callable[[int], Iterable[str]] = _no_keys
    """The Redis keys of the user."""
    prepare_deletion: Callable[[int], Callable[[], None]] | None = None
    """Called before the deletion. It returns a function that is called after all rows are deleted, and may raise
    ``RedisUnavailable``."""


_registered: dict[str, PersonalData] = {}


def register(app_label: str, part: PersonalData) -> None:
    _registered[app_label] = part


def parts() -> list[PersonalData]:
    """The parts of all apps in the order of ``INSTALLED_APPS``: referenced tables come before referencing ones."""
    return [_registered[config.label] for config in apps.get_app_configs() if config.label in _registered]


def fields_of(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def json_array(queryset: QuerySet[Any], names: Sequence[str], *, batch_size: int) -> Iterator[bytes]:
    """The rows as a JSON array, read in batches by primary key."""
    separator = b"["
    for batch in batch_query(queryset.only("pk", *names), batch_size=batch_size):
        for row in batch:
            yield separator + to_json(fields_of(row, names))
            separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"
