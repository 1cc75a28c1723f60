"""The client's IP address."""

from ipaddress import IPv6Address, ip_address

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request


def client_address(request: HttpRequest | Request) -> str:
    """The client's address in normal form, or an empty string if it is unknown.

    Only the entries of ``X-Forwarded-For`` that our ``TRUSTED_PROXIES`` proxies wrote are trusted. Each proxy appends
    the address that it was called from, so the client's address is that many entries from the end; earlier entries may
    be forged. A header with fewer entries did not come through our proxies, so the connection's address is returned.
    """
    connected = _normal(request.META.get("REMOTE_ADDR", ""))
    proxies = settings.TRUSTED_PROXIES
    if not proxies:
        return connected
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if len(forwarded) < proxies:
        return connected
    return _normal(forwarded[-proxies]) or connected


def _normal(text: str) -> str:
    text = text.strip()
    try:
        address = ip_address(_without_port(text))
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        # A zone, as in fe80::1%eth0, names a network interface of the proxy, and is dropped.
        return str(address.ipv4_mapped or IPv6Address(int(address)))
    return str(address)


def _without_port(text: str) -> str:
    """Some proxies append the port: ``192.0.2.1:5000``, ``[2001:db8::1]:5000``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
