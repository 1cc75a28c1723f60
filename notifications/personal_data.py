"""Export and deletion of notifications."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from notifications import inbox, quarantine
from notifications.models import Notification
from utils.personal_data import File, PersonalData, Rows, json_array, register

_BATCH_SIZE = 200
_NOTIFICATION = ("id", "type", "title", "message", "action_id", "created_at", "read_at")


def _rows(user_id: int) -> list[Rows]:
    return [Rows(Notification.objects.filter(user_id=user_id))]


def _files(user_id: int) -> Iterator[File]:
    mine = Notification.objects.filter(user_id=user_id)
    yield "notifications.json", json_array(mine, _NOTIFICATION, batch_size=_BATCH_SIZE)


def _redis_keys(user_id: int) -> Iterable[str]:
    return (inbox.entries_key(user_id), inbox.order_key(user_id), inbox.readers_key(user_id))


def _forget_quarantined(user_id: int) -> Callable[[], None]:
    return partial(quarantine.forget, user_id)


register(
    "notifications",
    PersonalData(
        rows=_rows,
        files=_files,
        exported=(Notification,),
        redis_keys=_redis_keys,
        prepare_deletion=_forget_quarantined,
    ),
)
