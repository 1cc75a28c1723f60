"""What each status is called in problems and in the API's description, the same on every Python."""

from http import HTTPStatus

# Python 3.13 took over the names of RFC 9110. Clients have been made with these.
_BEFORE_3_13 = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def title_of(status: int) -> str:
    """The ``title`` of a problem with this status. Raises ``ValueError`` for a number that is none."""
    return _BEFORE_3_13.get(status) or HTTPStatus(status).phrase
