"""Forms of the admin that set passwords or addresses."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminPasswordChangeForm as DjangoOwnPasswordForm
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    SetPasswordMixin,
    UserChangeForm,
)

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
    """An operator sets somebody's password."""


class OwnPasswordForm(EndsSessions, DjangoOwnPasswordForm):
    """An operator changes their own password."""


class NormalEmail(forms.ModelForm):
    """Mixin: addresses are compared and stored in their one spelling."""

    def clean_email(self) -> str:
        email = normalize_email(self.cleaned_data["email"])
        if "email" in self.changed_data:
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
