"""Validates URLs and addresses of environment variables, so that a wrong one is reported at start-up.

Each function takes the text of one variable, and raises ``Unusable`` if it is wrong. The message never contains a part
of the text: most of these URLs contain a password.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import dj_database_url

ENCODED = "with / ? # [ ] @ : % in user and password percent-encoded, a valid host, and a port that is a number"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,254}}$){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PRIVATE = [
    ip_network(network)
    for network in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fc00::/7",
        "fe80::/10",
    )
]  # fmt: skip
_REDIS_OPTIONS = {"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
_POSTGRES_CHOICES = {
    "sslmode": {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
    "channel_binding": {"disable", "prefer", "require"},
    "gssencmode": {"disable", "prefer", "require"},
    "target_session_attrs": {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"},
}
_POSTGRES_NUMBERS = {
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
    "port",
}  # fmt: skip
_HINTS = {
    "pgbouncer": "set DATABASE_POOLER=transaction instead",
    "schema": "write options=-c search_path=NAME instead",
    "currentSchema": "write options=-c search_path=NAME instead",
}


class Unusable(ValueError):
    """The message states the expected format."""


def split(text: str, schemes: tuple[str, ...], *, postgres: bool = False) -> SplitResult:
    """Split a URL; refuse one that urllib would misread: it takes a password with a slash for a path.

    A URL of PostgreSQL may have spaces in its query, and the path of a socket as its host.
    """
    kinds = " or ".join(f"{scheme}://" for scheme in schemes)
    scheme, found, rest = text.partition("://")
    if not found or scheme not in schemes:
        raise Unusable(f"a URL that begins with {kinds}")
    expected = f"a URL that begins with {kinds}, {ENCODED}"
    checked = "".join(rest.partition("?")[:2]) if postgres else rest
    if not text.isascii() or " " in checked or "%00" in text:
        raise Unusable(expected)
    try:
        unquote(text, errors="strict")  # libraries decode invalid UTF-8 in different ways
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unusable(expected) from None
    misplaced = "#" in text or "@" in parts.path + parts.query
    host = parts.hostname or ""
    is_socket = postgres and host.lower().startswith("%2f")
    if misplaced or port == 0 or (host and not is_socket and not _is_host(host)):
        raise Unusable(expected)
    return parts


def check_redis(text: str, *, memory: bool = False) -> str:
    """A URL of Redis; with ``memory``, ``locmem://`` is also accepted."""
    schemes = ("redis", "rediss", "unix", *(("locmem",) if memory else ()))
    parts = split(text, schemes)
    if ";" in text:  # Celery separates URLs by it
        raise Unusable("a URL with ; percent-encoded as %3B")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "locmem":
        return text
    if parts.scheme == "unix":
        if (
            parts.netloc
            or not parts.path.strip("/")
            or options.keys() - {"db"}
            or not _is_number(options.get("db", "0"))
        ):
            raise Unusable("a socket as in unix:///path/to/redis.sock?db=0")
        return text
    database = parts.path.removeprefix("/")
    known = _REDIS_OPTIONS if parts.scheme == "rediss" else set()
    if not parts.hostname or not _is_number(database or "0") or options.keys() - known or _lacks_password(parts):
        raise Unusable("a URL as in redis://:password@host:6379/0, with the database as a number and no other options")
    if options.get("ssl_cert_reqs", "none") not in ("none", "optional", "required"):
        raise Unusable("the option ssl_cert_reqs to be none, optional or required")
    return text


def _lacks_password(parts: SplitResult) -> bool:
    """``redis://secret@host``: the secret is taken for a user name, and no password is sent."""
    return bool(parts.username) and not parts.password


def check_postgres(text: str) -> str:
    parts = split(text, ("postgres", "postgresql"), postgres=True)
    if not re.fullmatch(r"/[^/]+", parts.path):
        raise Unusable("a URL that ends in the name of a database, as in postgresql://user:password@host:5432/name")
    in_url = {"user": parts.username, "password": parts.password, "host": parts.hostname, "port": parts.port}
    for name, value in postgres_options(text).items():
        if name == "dbname" or in_url.get(name):  # libpq and Django would use different values
            raise Unusable(f"{name} in the URL itself or as an option, not both")
        if name not in _known_to_libpq():
            # The name is not a secret: an unescaped ? in a password leaves an @ in the query, which was refused above.
            known = re.fullmatch(r"[A-Za-z_]{1,40}", name)
            hint = _HINTS.get(name, "see the connection parameters in PostgreSQL's manual")
            raise Unusable(f"no option {name if known else 'of this name'}, which PostgreSQL does not know: {hint}")
        if name in _POSTGRES_CHOICES and value not in _POSTGRES_CHOICES[name]:
            raise Unusable(f"the option {name} to be one of {', '.join(sorted(_POSTGRES_CHOICES[name]))}")
        if name in _POSTGRES_NUMBERS and not _is_number(value):
            raise Unusable(f"the option {name} to be a whole number")
    return text


def postgres_settings(text: str) -> dict[str, Any]:
    """Django's settings of a database, from a URL that :func:`check_postgres` accepted, or from an empty text."""
    text = text or "postgresql://"
    found = dj_database_url.parse(text)
    # dj_database_url may lower-case the host, which breaks a socket's path, and reads a + in options as a space.
    host = re.fullmatch(r"\[?(.*?)\]?(?::[0-9]*)?", urlsplit(text).netloc.rpartition("@")[2])
    return {
        **{name: found[name] for name in ("NAME", "USER", "PASSWORD")},
        "PORT": str(found["PORT"] or ""),
        "HOST": unquote(host[1]) if host else "",
        "OPTIONS": postgres_options(text),
    }


def postgres_options(text: str) -> dict[str, str]:
    """The connection parameters in a URL's query; a + stays a +."""
    return dict(parse_qsl(urlsplit(text).query.replace("+", "%2B"), keep_blank_values=True))


def _known_to_libpq() -> set[str]:
    from psycopg.pq import Conninfo  # not at import: gunicorn reads this module before gevent has patched sockets

    return {option.keyword.decode() for option in Conninfo.get_defaults()}


def check_http(text: str) -> str:
    """A base URL, without query and credentials; a slash at its end is dropped."""
    parts = split(text, ("http", "https"))
    if not parts.hostname or "@" in parts.netloc or "?" in text or not _PATH.fullmatch(parts.path):
        raise Unusable("a URL as in https://host/path, without user, password and query")
    return text.rstrip("/")


def check_dsn(text: str) -> str:
    parts = split(text, ("http", "https"))
    if not parts.hostname or not parts.username or not _is_number(parts.path.rpartition("/")[2]):
        raise Unusable("Sentry's DSN, as in https://key@host/1")
    return text


def check_storage(text: str) -> str:
    """A folder, or a bucket of an S3-compatible server."""
    parts = split(text, ("file", "s3"))
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "file":
        if parts.netloc or not parts.path.strip("/") or "?" in text or ".." in unquote(parts.path).split("/"):
            raise Unusable("a folder as in file:///srv/noteassist/files")
        return text
    bucket = re.fullmatch(r"/[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/?", parts.path)
    if not (parts.hostname and parts.username and parts.password and bucket) or options.keys() - {"region", "tls"}:
        raise Unusable("a bucket as in s3://key:secret@host/bucket?region=eu-central-1, with no other options than tls")
    if options.get("tls", "on") not in ("on", "off"):
        raise Unusable("the option tls to be on, or off within one's own network")
    if not re.fullmatch(r"[A-Za-z0-9-]{0,40}", options.get("region", "")):
        raise Unusable("the option region to be a name such as eu-central-1")
    return text


def check_mail(text: str, *, console: bool) -> str:
    parts = split(text, ("smtp", "smtps", "smtp+tls", *(("console",) if console else ())))
    if parts.scheme == "console":
        return text
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not parts.hostname or parts.path.strip("/") or "?" in text or bool(user) != bool(password):
        raise Unusable("a URL as in smtp+tls://user:password@host:587, with both user and password or neither")
    if not (user.isascii() and password.isascii()):
        raise Unusable("user and password in ASCII, since mail servers are sent nothing else")
    return text


def check_mail_address(text: str) -> str:
    """The sender's address, optionally after a name."""
    from django.core.exceptions import ValidationError
    from django.core.mail.message import sanitize_address  # these import ssl, which gevent must patch first
    from django.core.validators import validate_email

    try:
        address = sanitize_address(text, "utf-8").rpartition("<")[2].removesuffix(">")
        validate_email(address)
        if address.startswith("=?"):  # the part before the @ is not ASCII, which few mail servers accept
            raise ValidationError(address)
    except (ValueError, IndexError, ValidationError):
        raise Unusable(
            "one address, or a name and an address as in NoteAssist <a@example.com>; a name with a comma in quotes"
        ) from None
    return text


def check_host(text: str, *, wildcards: bool) -> str:
    """A host name or address as in the Host header, or a domain with its subdomains: ``.example.com``."""
    if wildcards and text == "*":
        return text
    bare = text.removeprefix(".")
    if text.startswith("[") and text.endswith("]"):
        valid = isinstance(_address(text[1:-1]), IPv6Address)
    else:
        valid = _is_host(bare) and ":" not in bare and not bare.endswith(".")
    if not valid:
        raise Unusable("host names such as api.example.com, separated by commas, without scheme, port, path or quotes")
    return text.lower()


def origin(text: str) -> str:
    """An origin as browsers write it: lower case, without the scheme's default port, without a path."""
    expected = "origins such as https://app.example.com, separated by commas; names outside ASCII as xn--…"
    scheme, found, rest = text.partition("://")
    try:
        parts = split(f"{scheme.lower()}{found}{rest}", ("http", "https"))
    except Unusable:
        raise Unusable(expected) from None
    host = (parts.hostname or "").lower()
    if not host or "@" in parts.netloc or parts.path or "?" in text or host.endswith("."):
        raise Unusable(expected)
    if ":" in host:
        host = f"[{IPv6Address(host).compressed}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def public_origin(text: str) -> str:
    """The origin at which people reach the product: https, or http for a host in a private network."""
    try:
        found = origin(text)
    except Unusable:
        raise Unusable("an origin such as https://notes.example.com") from None
    host = urlsplit(found).hostname or ""
    if found.startswith("http://") and not _is_near(host):
        raise Unusable("https://, or http:// with a private address or a name in .local or .lan")
    return found


def hosts_of(found: str) -> tuple[str, ...]:
    """The host of an origin as in the Host header, without its port; empty for an empty origin."""
    host = urlsplit(found).hostname
    return (f"[{host}]" if ":" in host else host,) if host else ()


def _is_near(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith((".local", ".lan", ".localhost"))
    return any(address in network for network in _PRIVATE)


def _is_host(host: str) -> bool:
    if ":" in host:
        return isinstance(_address(host), IPv6Address)
    if re.fullmatch(r"0x[0-9a-f]*|[0-9]+", host.rpartition(".")[2]):  # browsers read 127.1 as 127.0.0.1
        return isinstance(_address(host), IPv4Address)
    return bool(_NAME.fullmatch(host))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,9}", text))
