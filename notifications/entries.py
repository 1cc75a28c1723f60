"""A notification outside the database: in the inbox, the outbox and the API."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import orjson

from notifications.models import Notification
from utils.http.json import dumps

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class InvalidEntry(ValueError):
    """The bytes are not a valid notification."""


@dataclass(frozen=True, slots=True)
class NotificationEntry:
    """One notification of one user. ``created_at`` is UTC."""

    id: UUID
    user_id: int
    type: str
    title: str
    message: str
    action_id: str
    created_at: datetime

    @classmethod
    def from_values(cls, *, created_at: str, **others: Any) -> Self:
        """From a row of ``utils.database.compiled_queries``, whose timestamp is text."""
        return cls(created_at=datetime.fromisoformat(created_at), **others)

    @classmethod
    def from_body(cls, user_id: int, body: bytes) -> Self:
        """Parse the output of :meth:`body`. Raises :class:`InvalidEntry`."""
        try:
            fields = orjson.loads(body)
            return cls(
                id=UUID(fields["id"]),
                user_id=user_id,
                type=Notification.Type(fields["type"]).value,
                title=str(fields["title"]),
                message=str(fields["message"]),
                action_id=str(fields["action_id"]),
                created_at=datetime.fromisoformat(fields["created_at"]).astimezone(UTC),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidEntry(f"{type(error).__name__}: {error}") from error

    def stored(self) -> tuple[int, bytes]:
        """The score and the body in the inbox. The score is microseconds since 1970: Redis represents it exactly."""
        return (self.created_at - _EPOCH) // _MICROSECOND, self.body()

    def body(self) -> bytes:
        """The notification as the API shows it."""
        return dumps(
            {
                "id": str(self.id),
                "type": self.type,
                "title": self.title,
                "message": self.message,
                "action_id": self.action_id,
                "created_at": f"{self.created_at:%Y-%m-%dT%H:%M:%S.%fZ}",
            }
        )
