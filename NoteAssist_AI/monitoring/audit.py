"""The audit log (logger ``audit``): sign-ins, failed or not, and changes of who has access.

An account is named by its id. Where only an address was given, a keyed hash names it: equal addresses have equal ones,
and nobody without ``SECRET_KEY`` finds the address. Of where it came from the network is kept, not the address.
"""

import logging
from ipaddress import ip_address, ip_network
from typing import Any

from django.utils.crypto import salted_hmac

logger = logging.getLogger("audit")

_NETWORK_BITS = {4: 24, 6: 48}
_HASH_CHARACTERS = 16


def record(what: str, outcome: str, *, user_id: int | None = None, email: str = "", address: str = "") -> None:
    """Log what was done or tried, and how it ended: ``ok``, or the code of the refusal."""
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
