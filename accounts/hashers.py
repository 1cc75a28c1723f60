"""How passwords are stored."""

import re

from argon2.low_level import ARGON2_VERSION
from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters: 19 MiB, two passes, one lane (about 20 ms; Django's default takes 100 MiB)."""

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1


_COST = f"m={Argon2idHasher.memory_cost},t={Argon2idHasher.time_cost},p={Argon2idHasher.parallelism}"
CURRENT_KIND = f"argon2$argon2id$v={ARGON2_VERSION}${_COST}"
"""How every new hash begins."""

_HASH = re.compile(r"(argon2\$argon2(?:i|d|id)\$v=\d+\$m=\d+,t=\d+,p=\d+|pbkdf2_sha256\$\d+)\$[^$]+\$[^$]+")


def kind_of(encoded: str) -> str | None:
    """Algorithm and cost of a stored hash, as it begins: what decides how long it takes to check.

    None for what no password fits.
    """
    found = _HASH.fullmatch(encoded)
    return found[1] if found else None
