"""Users, their sessions and their password resets."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password
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
        return self.create_user(email, password, is_staff=True, **fields)

    def get_by_natural_key(self, email: str | None) -> "User":
        return self.get(email=normalize_email(email or ""))


def normalize_email(email: str) -> str:
    """The one spelling under which an address is stored and looked up."""
    return email.strip().lower()


def validate_new_email(email: str) -> None:
    """Raise ``ValidationError`` unless the address is ASCII.

    Others may be none that mail can be sent to, and PostgreSQL lower-cases some of them in another way.
    """
    if not email.isascii():
        raise ValidationError("Use ASCII characters only; a domain of others has a form in ASCII (xn--…).", "invalid")


HAS_OUTDATED_HASH = ~models.Q(password__startswith=f"{CURRENT_KIND}$") & ~models.Q(password__startswith="!")
"""Users whose password is stored by another kind of hash than new ones."""


class User(AbstractBaseUser):
    """A student, or with ``is_staff`` an operator, who may do everything in the admin.

    ``token_version`` is part of every access token and of the admin's cookie: raising it ends them all.
    """

    last_login = None  # sessions tell it, without a write to this row at each login
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
        """Whether it is theirs. Django's would also write a new hash, over a password that was changed meanwhile."""
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
    """One login on one device. Its refresh token is derived from the row; one ``generation`` of it is live."""

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


class PasswordReset(models.Model):
    """A request to choose a new password. The mail's token is an HMAC, so the database holds no secret.

    Until ``claimed_until`` its user is sent no other mail; ``mailed_at`` is when the mail server had taken this one.
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
