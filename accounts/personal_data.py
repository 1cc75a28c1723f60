"""Export and deletion of the account itself."""

from collections.abc import Iterator

from accounts.models import PasswordReset, SecondFactor, Session, User
from utils.models import IdempotencyRecord
from utils.personal_data import File, PersonalData, Rows, fields_of, json_array, register, to_json

_BATCH_SIZE = 200
_PROFILE = ("id", "email", "name", "date_joined")
_SECOND_FACTOR = ("enrolled_at",)
_SESSION = ("id", "user_agent", "ip", "created_at", "rotated_at", "expires_at", "revoked_at")


def _rows(user_id: int) -> list[Rows]:
    return [
        Rows(IdempotencyRecord.objects.filter(user_id=user_id)),
        Rows(PasswordReset.objects.filter(user_id=user_id)),
        Rows(SecondFactor.objects.filter(user_id=user_id)),
        Rows(Session.objects.filter(user_id=user_id)),
    ]


def _files(user_id: int) -> Iterator[File]:
    user = User.objects.only(*_PROFILE).get(pk=user_id)
    yield "profile.json", [to_json(fields_of(user, _PROFILE))]
    yield (
        "second_factor.json",
        json_array(SecondFactor.objects.filter(user_id=user_id), _SECOND_FACTOR, batch_size=_BATCH_SIZE),
    )
    yield "sessions.json", json_array(Session.objects.filter(user_id=user_id), _SESSION, batch_size=_BATCH_SIZE)


register(
    "accounts",
    PersonalData(
        rows=_rows,
        files=_files,
        exported=(User, Session),
        withheld={
            SecondFactor: "is a secret of staff, hashed or sealed, which nobody may read back",
            PasswordReset: "says when a password was reset, and is gone after a day",
            IdempotencyRecord: "repeats answers about rows that are exported themselves, for a day",
        },
    ),
)
