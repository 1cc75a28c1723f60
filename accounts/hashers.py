"""How passwords are stored."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id with OWASP's parameters: 19 MiB, two passes, one lane (about 20 ms; Django's default takes 100 MiB)."""

    time_cost = 2
    memory_cost = 19 * 1024  # KiB
    parallelism = 1
