"""Reading and deleting the rows of a large table in batches."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable
from django.db.transaction import atomic

ModelT = TypeVar("ModelT", bound=Model)


def batch_query(queryset: QuerySet[ModelT], batch_size: int = 1000) -> Iterator[list[ModelT]]:
    """Yield the queryset's objects in lists of at most ``batch_size``, in the order of their primary keys.

    Each list is one query that starts after the last key seen. So no row is skipped or repeated when rows are inserted
    or deleted meanwhile, and every list costs the same. No transaction is held between lists.

    Raises ``ValueError`` at the call for a queryset that cannot be read in this way: one that is sliced, combined,
    ordered by other columns, or does not yield objects.
    """
    query = queryset.query
    if batch_size < 1:
        raise ValueError("batch_size must be at least 1.")
    if query.is_sliced or query.combinator or query.distinct_fields:
        raise ValueError("A queryset that is sliced, combined, or distinct on fields cannot be walked by primary key.")
    if query.extra_order_by or any(term not in ("pk", queryset.model._meta.pk.name) for term in query.order_by):
        raise ValueError("batch_query walks in the order of the primary key: remove the queryset's order_by().")
    if not issubclass(queryset._iterable_class, ModelIterable):
        raise ValueError("batch_query yields objects: remove values(), values_list() or dates().")
    return _walk(queryset.order_by("pk"), batch_size)


def _walk(queryset: QuerySet[ModelT], batch_size: int) -> Iterator[list[ModelT]]:
    batch = list(queryset[:batch_size])
    while batch:
        yield batch
        if len(batch) < batch_size:
            return
        batch = list(queryset.filter(pk__gt=batch[-1].pk)[:batch_size])


def deleted_batches(
    queryset: QuerySet[Any], *, batch_size: int, transaction_of: Callable[[], AbstractContextManager[Any]] = atomic
) -> Iterator[list[Any]]:
    """Delete the queryset's rows, each batch in a transaction of its own; yield the primary keys of each batch."""
    while keys := list(queryset.order_by().values_list("pk", flat=True)[:batch_size]):
        with transaction_of():
            # Before Django deletes rows that others reference, it loads them: only() leaves out their texts.
            queryset.model._default_manager.filter(pk__in=keys).only("pk").delete()
        yield keys


def delete_in_batches(queryset: QuerySet[Any], *, batch_size: int = 1000, batches: int = 100) -> int:
    """Delete at most ``batches`` batches of the queryset's rows; return the number of deleted rows.

    The next call deletes the rest.
    """
    return sum(len(keys) for keys in islice(deleted_batches(queryset, batch_size=batch_size), batches))
