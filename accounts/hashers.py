"""Password hashing."""

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
"""The prefix of every new hash."""

_HASH = re.compile(r"(argon2\$argon2(?:i|d|id)\$v=\d+\$m=\d+,t=\d+,p=\d+|pbkdf2_sha256\$\d+)\$[^$]+\$[^$]+")


def kind_of(encoded: str) -> str | None:
    """The prefix of a stored hash: algorithm and cost, which determine how long checking it takes.

    None for a hash that no password matches.
    """
    found = _HASH.fullmatch(encoded)
    return found[1] if found else None
