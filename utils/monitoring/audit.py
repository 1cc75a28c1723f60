"""The audit log (logger ``audit``): successful and failed sign-ins, and changes of who has access.

An account is identified by its id. If only an email address was given, a keyed hash of it is logged: equal addresses
have equal hashes, and without ``SECRET_KEY`` the address cannot be recovered. Of the client's IP address only the
network is logged.
"""

import logging
from ipaddress import ip_address, ip_network
from typing import Any

from django.utils.crypto import salted_hmac

logger = logging.getLogger("audit")

_NETWORK_BITS = {4: 24, 6: 48}
_HASH_CHARACTERS = 16


def record(what: str, outcome: str, *, user_id: int | None = None, email: str = "", address: str = "") -> None:
    """Log an action and its outcome: ``ok``, or the error code of its refusal."""
    fields: dict[str, Any] = {"outcome": outcome}
    if user_id is not None:
        fields["user_id"] = user_id
    if email:
        fields["account"] = keyed_hash(email)
    if network := network_of(address):
        fields["network"] = network
    logger.info(what, extra={"fields": fields})


def keyed_hash(email: str) -> str:
    return salted_hmac("monitoring.audit", email.strip().lower(), algorithm="sha256").hexdigest()[:_HASH_CHARACTERS]


def network_of(address: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 address; empty if it is unknown."""
    if not address:
        return ""
    return str(ip_network(f"{address}/{_NETWORK_BITS[ip_address(address).version]}", strict=False))
