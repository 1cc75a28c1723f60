"""How AI tasks are looked up."""

from typing import Self

from django.db import models


class AITaskQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)
