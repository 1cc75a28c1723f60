"""Signed links to attachments, for an ``<img>``, which cannot send an access token."""

from uuid import UUID

from django.conf import settings
from django.core import signing

from notes.models import Attachment


class InvalidLink(Exception):
    """The link's signature is wrong, or the link has expired."""


def signed_url(attachment: Attachment) -> str:
    """A relative link that opens the file for its owner, without a sign-in, for ``ATTACHMENT_LINK_SECONDS``."""
    token = signing.TimestampSigner(salt=_salt(attachment.pk)).sign(str(attachment.user_id))
    return f"{attachment.path}?token={token}"


def user_of_link(attachment_id: UUID, token: str) -> int:
    """The id of the user for whom a link to this file was made. Raises :class:`InvalidLink`."""
    signer = signing.TimestampSigner(salt=_salt(attachment_id))
    try:
        return int(signer.unsign(token, max_age=settings.ATTACHMENT_LINK_SECONDS))
    except signing.BadSignature as error:
        raise InvalidLink from error


def _salt(attachment_id: UUID) -> str:
    """The salt of a file's links, so that a token is valid for one file only."""
    return f"notes.attachment-link:{attachment_id.hex}"
