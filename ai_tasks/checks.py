"""What Django's checks and migrations say of embeddings."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS

from ai_tasks.embeddings import extension


@checks.register(checks.Tags.database)
def vectors_can_be_searched(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[checks.CheckMessage]:
    """Run by ``manage.py check --database default`` and by ``migrate``."""
    if not settings.EMBEDDINGS_ARE_ON or DEFAULT_DB_ALIAS not in (databases or ()) or extension.is_installed():
        return []
    return [
        checks.Warning(
            "EMBEDDINGS_* is set, but the database lacks the extension vector.",
            hint="Questions are answered by the words of notes alone. manage.py migrate installs the extension where "
            "the server has it (pgvector) and the role may; else have a superuser run CREATE EXTENSION vector.",
            id="noteassist.W002",
        )
    ]


def install_extension(**_kwargs: Any) -> None:
    """After every ``migrate``: embeddings may have been configured since the last one."""
    if settings.EMBEDDINGS_ARE_ON:
        extension.install()
