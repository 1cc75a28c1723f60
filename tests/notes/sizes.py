"""The sizes that byte budgets count, for tests."""

from notes.models import Note, StorageUse
from notes.sizes import stored_size

PIECE = "x" * 100_000


def size_of(note) -> int | None:
    return Note.objects.values_list("size_bytes", flat=True).get(pk=note.pk)


def total_of(user) -> int | None:
    return StorageUse.objects.values_list("size_bytes", flat=True).get(pk=user.pk)


def assert_sizes_are_those_of_a_recount(user) -> None:
    rows = list(Note.objects.filter(user=user).values_list("size_bytes", stored_size()))
    assert [known for known, _ in rows] == [counted for _, counted in rows]
    assert total_of(user) == sum(counted for _, counted in rows)
