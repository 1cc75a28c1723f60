"""Export of a user's data: a zip of JSON for programs and Markdown for people, generated while it is sent.

Memory does not grow with the user's data: rows are read in batches by primary key, texts a few at a time, and long
texts in pieces.
"""

from collections.abc import Iterator

from accounts.models import User
from utils.personal_data import parts
from utils.streaming.archives import zip_chunks


def stream_export(*, user_id: int) -> Iterator[bytes]:
    """Yield the user's archive in chunks: the files that every app registered in its ``personal_data``.

    Raises ``User.DoesNotExist`` at the call, not during iteration.
    """
    User.objects.only("pk").get(pk=user_id)
    return zip_chunks(file for part in parts() for file in part.files(user_id))
