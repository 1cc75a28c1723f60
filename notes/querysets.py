"""The SQL ideas of notes: chainable, never evaluated here."""

from typing import Self

from django.db import models


class NoteQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Not in the trash."""
        return self.filter(deleted_at=None)


class ChapterQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Chapters in the user's notes outside the trash."""
        return self.filter(note__user_id=user_id, note__deleted_at=None)


class TopicQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """Topics in the user's notes outside the trash."""
        return self.filter(chapter__note__user_id=user_id, chapter__note__deleted_at=None)


class NoteVersionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(note__user_id=user_id, note__deleted_at=None)
