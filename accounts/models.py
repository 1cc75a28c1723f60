"""Users, their sessions and their password resets."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac

from accounts.hashers import CURRENT_KIND
from accounts.querysets import PasswordResetQuerySet, SessionQuerySet


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user whose address is stored trimmed and lower-cased."""
        user = self.model(email=normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an operator. Raises ``ValidationError`` for an address that a new account may not have."""
        validate_new_email(normalize_email(email))
        return self.create_user(email, password, is_staff=True, **fields)

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email=normalize_email(email or ""))


PRIVATE_DOMAINS = frozenset(
    ("arpa", "internal", "intranet", "invalid", "local", "localdomain", "localhost", "onion", "private")
)
"""Top-level domains without public mail servers: RFC 2606, 6761, 6762, 7686, 8375, and ICANN's list.

The list leaves out ``lan``, ``home`` and ``corp``, which users of a server at home or in a company have, and the names
for examples and tests, which are harmless and used in tests.
"""


def normalize_email(email: str) -> str:
    """The normal form in which an email address is stored and looked up."""
    return email.strip().lower()


def validate_new_email(email: str) -> None:
    """Raise ``ValidationError`` unless the address is ASCII and its domain a public name.

    Mail may not reach other addresses, and PostgreSQL lower-cases some of them differently from Python. An IP address
    or a private name could make the mail server connect to a machine of its own network.
    """
    if not email.isascii():
        raise ValidationError("Use ASCII characters only. Write an international domain as xn--….", "invalid")
    domain = email.rpartition("@")[2]
    if domain.startswith("[") or "." not in domain or domain.rpartition(".")[2] in PRIVATE_DOMAINS:
        raise ValidationError(
            "Use an Internet mail address, not an IP address or a private name such as .local.",
            "private_domain",
        )


HAS_OUTDATED_HASH = ~models.Q(password__startswith=f"{CURRENT_KIND}$") & ~models.Q(password__startswith="!")
"""Users whose password hash has another algorithm or cost than new hashes."""


class User(AbstractBaseUser):
    """A student, or with ``is_staff`` an operator, who may do everything in the admin.

    ``token_version`` is part of every access token and of the admin's session cookie: raising it invalidates them all.
    """

    last_login = None  # Session.created_at replaces it, so that a login does not write this row
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    token_version = models.PositiveIntegerField(default=1)
    date_joined = models.DateTimeField(db_default=Now(), editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_is_lower_case"),
        ]
        indexes = [models.Index(fields=["id"], condition=HAS_OUTDATED_HASH, name="user_outdated_hash_idx")]

    def __str__(self) -> str:
        return self.email

    def check_password(self, raw_password: str | None) -> bool:
        """Whether the password is correct.

        Django's method would also upgrade the hash, and could overwrite a password that was changed concurrently.
        """
        return check_password(raw_password, self.password)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        state = f"{self.token_version}:{self.password}"
        return salted_hmac("accounts.User.session", state, secret=secret, algorithm="sha256").hexdigest()

    def get_short_name(self) -> str:
        return self.name or self.email

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_active and self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and self.is_staff


class Session(models.Model):
    """One login on one device. Its refresh token is derived from the row; only the current ``generation`` is valid."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    generation = models.PositiveIntegerField(default=1)
    rotated_at = models.DateTimeField(db_default=Now())
    user_agent = models.CharField(max_length=300, blank=True)
    ip = models.GenericIPAddressField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-id"], name="session_user_idx"),
            models.Index(fields=["expires_at"], name="session_expires_idx"),
        ]

    def __str__(self) -> str:
        return f"session {self.pk}"


class SecondFactor(models.Model):
    """An operator's second factor for the admin. Their authenticator app's secret is an HMAC of ``seed``.

    No code of the time step ``last_step``, or an earlier one, is accepted again. ``recovery_codes`` are the SHA-256 of
    those that are not used.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    seed = models.CharField(max_length=32)
    last_step = models.BigIntegerField()
    recovery_codes = ArrayField(models.CharField(max_length=64))
    enrolled_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"second factor {self.pk}"


class PasswordReset(models.Model):
    """A request to choose a new password. The mail's token is an HMAC, so the database holds no secret.

    No other reset mail is sent to the user before ``claimed_until``. ``mailed_at``: when the mail server accepted this
    one.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="password_resets")
    created_at = models.DateTimeField(db_default=Now())
    claimed_until = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    objects = PasswordResetQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-created_at"], name="password_reset_user_idx"),
            models.Index(fields=["created_at"], name="password_reset_created_idx"),
        ]

    def __str__(self) -> str:
        return f"password reset {self.pk}"
