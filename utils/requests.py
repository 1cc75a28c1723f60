"""What views ask of a request."""

from rest_framework.request import Request


def user_id_of(request: Request) -> int:
    """The id of the signed-in user. For views that only the signed-in reach."""
    user_id = request.user.pk
    if user_id is None:
        raise TypeError("This view is open to everybody: it has no signed-in user.")
    return user_id
