"""The admin site."""

from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, logout
from django.contrib.auth.views import PasswordChangeView, redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, path, reverse

from accounts import admin_sessions
from accounts.admin_views import SecondFactorView
from accounts.forms import OperatorLoginForm, OwnPasswordForm


class AdminSite(admin.AdminSite):
    """Django's admin site, whose sign-ins end and in production need a second factor (``accounts.admin_sessions``).

    Operators who change their own password there also end their sessions at the API.
    """

    site_header = "NoteAssist AI"
    site_title = "NoteAssist AI"
    login_form = OperatorLoginForm

    def has_permission(self, request: HttpRequest) -> bool:
        return self._is_signed_in(request) and not admin_sessions.lacks_second_factor(request.session)

    def _is_signed_in(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and admin_sessions.is_fresh(request.session)

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [path("second-factor/", self.second_factor, name="second_factor"), *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        @wraps(view)
        def noted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            admin_sessions.note_use(request.session)
            return view(request, *args, **kwargs)

        return super().admin_view(noted, cacheable)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method == "GET" and request.user.is_authenticated:
            if not admin_sessions.is_fresh(request.session):
                logout(request)
            elif self._is_signed_in(request) and not self.has_permission(request):
                following = request.GET.get(REDIRECT_FIELD_NAME) or reverse("admin:index", current_app=self.name)
                return redirect_to_login(following, reverse("admin:second_factor", current_app=self.name))
        return super().login(request, extra_context)

    def second_factor(self, request: HttpRequest) -> HttpResponseBase:
        """The page that asks operators for the second factor, after their password."""
        request.current_app = self.name
        if not self._is_signed_in(request):
            return redirect_to_login(request.get_full_path(), reverse("admin:login", current_app=self.name))
        return SecondFactorView.as_view(extra_context=self.each_context(request))(request)

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        # Django has no setting for the form, and its default form bypasses our services.
        request.current_app = self.name
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done", current_app=self.name),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)
