"""The admin as a whole."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest
from django.urls import reverse

from accounts.forms import OwnPasswordForm


class AdminSite(admin.AdminSite):
    """Django's admin site, whose operators end their sessions at the API when they change their own password."""

    site_header = "NoteAssist AI"
    site_title = "NoteAssist AI"

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # Django has no setting for the form; its own writes the password past our services.
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)
