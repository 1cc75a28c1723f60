"""What views ask of a request."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.http import QueryDict
from rest_framework.request import Request


class ReadRequest(Protocol):
    """All that a fast read may know of its request, but for the ``admission`` that is left on it.

    Those that are answered before Django begins have no more.
    """

    @property
    def path(self) -> str: ...

    @property
    def META(self) -> Mapping[str, Any]: ...

    @property
    def GET(self) -> QueryDict: ...


def user_id_of(request: Request) -> int:
    """The id of the signed-in user. For views that only the signed-in reach."""
    user_id = request.user.pk
    if user_id is None:
        raise TypeError("This view is open to everybody: it has no signed-in user.")
    return user_id
