"""Forms of the admin that set passwords or email addresses."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.forms import AdminPasswordChangeForm as DjangoOwnPasswordForm
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    SetPasswordMixin,
    UserChangeForm,
)

from accounts.audit import no_operator
from accounts.models import User, normalize_email, validate_new_email
from accounts.services import users


class EndsSessions(SetPasswordMixin):
    """Mixin of Django's password forms: setting a password ends every session and token of its user."""

    cleaned_data: dict[str, Any]

    def set_password_and_save(self, user: User, password_field_name: str = "password1", commit: bool = True) -> User:
        usable = self.cleaned_data.get("set_usable_password", True)
        users.set_password(user_id=user.pk, password=self.cleaned_data[password_field_name] if usable else None)
        user.refresh_from_db()
        return user


class OperatorPasswordForm(EndsSessions, AdminPasswordChangeForm):
    """An operator sets another user's password."""


class OwnPasswordForm(EndsSessions, DjangoOwnPasswordForm):
    """An operator changes their own password."""


class OperatorLoginForm(AdminAuthenticationForm):
    """The admin's login. A student's correct password is refused, and recorded in the audit log."""

    def confirm_login_allowed(self, user: Any) -> None:
        try:
            super().confirm_login_allowed(user)
        except forms.ValidationError:
            no_operator(self.request, user)
            raise


class SecondFactorForm(forms.Form):
    """A code of an authenticator app, or a recovery code."""

    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "autofocus": True, "spellcheck": "false"}),
    )


class NormalEmail(forms.ModelForm):
    """Mixin: email addresses are compared and stored in normal form."""

    def clean_email(self) -> str:
        email = normalize_email(self.cleaned_data["email"])
        if email != self.instance.email:
            validate_new_email(email)
        return email


class UserForm(NormalEmail, UserChangeForm):
    class Meta:
        model = User
        fields = ["email", "name", "is_active", "is_staff", "password"]


class NewUserForm(NormalEmail, AdminUserCreationForm):
    class Meta:
        model = User
        fields = ["email", "name", "is_staff"]
