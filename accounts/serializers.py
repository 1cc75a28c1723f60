"""Serializers of requests and responses about accounts."""

import unicodedata
from typing import Any

from rest_framework import serializers

from accounts.models import Session, User, normalize_email, validate_new_email
from accounts.services.passwords import MAX_LENGTH as PASSWORD_MAX_LENGTH
from utils.http.serializers import OnlyText, StrictCharField, StrictSerializer

_CONTROLS = ("Cc", "Zl", "Zp")


class EmailField(OnlyText, serializers.EmailField):
    """An address, converted to its normal form before it is validated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=254, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return normalize_email(super().to_internal_value(data))


class PasswordField(StrictCharField):
    """A password, not trimmed. Its length is limited, as hashing a longer password takes longer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=PASSWORD_MAX_LENGTH,
            trim_whitespace=False,
            write_only=True,
            style={"input_type": "password"},
            **kwargs,
        )


class NameField(StrictCharField):
    """A person's name: one line, or empty."""

    default_error_messages = {"control_character": "Control characters are not allowed."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=150, allow_blank=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        is_short = self.max_length is not None and len(name) <= self.max_length  # otherwise the length check reports it
        if is_short and any(unicodedata.category(character) in _CONTROLS for character in name):
            self.fail("control_character")
        return name


class UserSerializer(serializers.ModelSerializer):
    """The signed-in user."""

    class Meta:
        model = User
        fields = ["id", "email", "name", "is_staff", "date_joined"]
        read_only_fields = fields


class ProfileSerializer(StrictSerializer):
    """The fields of a profile that its user may change."""

    name = NameField()


class RegistrationSerializer(StrictSerializer):
    """A new account."""

    email = EmailField(validators=[validate_new_email])
    name = NameField(default="")
    password = PasswordField()


class LoginSerializer(StrictSerializer):
    """Credentials for signing in."""

    email = EmailField()
    password = PasswordField()


class RefreshSerializer(StrictSerializer):
    """The refresh token of the last pair."""

    refresh = StrictCharField(max_length=1024)


class PasswordChangeSerializer(StrictSerializer):
    """The current password and the new one."""

    old_password = PasswordField()
    new_password = PasswordField()


class PasswordResetSerializer(StrictSerializer):
    """The address of the account whose password is to be reset."""

    email = EmailField()


class PasswordResetConfirmSerializer(StrictSerializer):
    """The mail's code and the new password."""

    token = StrictCharField(max_length=200)
    new_password = PasswordField()


class PasswordSerializer(StrictSerializer):
    """The user's password, as confirmation."""

    password = PasswordField()


class TokenPairSerializer(serializers.Serializer):
    """`access` is sent as `Authorization: Bearer …`; `refresh` is good for one exchange."""

    access = serializers.CharField()
    refresh = serializers.CharField()


class SignedInSerializer(serializers.Serializer):
    """The tokens of a new session, and its user."""

    access = serializers.CharField(source="tokens.access")
    refresh = serializers.CharField(source="tokens.refresh")
    user = UserSerializer()


class SessionSerializer(serializers.ModelSerializer):
    """A device that is signed in."""

    device = serializers.CharField(source="user_agent")
    address = serializers.CharField(source="ip", allow_null=True)
    last_used_at = serializers.DateTimeField(source="rotated_at")
    current = serializers.SerializerMethodField(help_text="Whether this is the session of the request.")

    class Meta:
        model = Session
        fields = ["id", "device", "address", "created_at", "last_used_at", "expires_at", "current"]

    def get_current(self, session: Session) -> bool:
        return session.pk == self.context["request"].auth.session_id
