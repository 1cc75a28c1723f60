"""Pages of the admin that Django does not have."""

from typing import Any, cast

import segno
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.cache import never_cache
from django.views.generic import FormView

from accounts import admin_sessions, audit
from accounts.forms import SecondFactorForm
from accounts.login_throttle import count_login_attempt
from accounts.models import User
from accounts.services import second_factor
from accounts.services.second_factor import InvalidCode
from utils.http.errors import TooManyRequests

_SEED = "second_factor_seed"


@method_decorator(never_cache, name="dispatch")
class SecondFactorView(RedirectURLMixin, FormView):
    """Asks a signed-in operator for the second factor, and sets one up if the operator has none.

    The recovery codes are shown once, in the response to the first code.
    """

    form_class = SecondFactorForm
    template_name = "accounts/second_factor.html"
    next_page = "admin:index"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not admin_sessions.lacks_second_factor(request.session):
            return redirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    @property
    def operator(self) -> User:
        return cast(User, self.request.user)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "cancel" in request.POST:
            logout(request)
            return redirect("admin:login")
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: SecondFactorForm) -> HttpResponse:
        user_id, session = self.operator.pk, self.request.session
        is_enrolled = second_factor.is_enrolled(user_id=user_id)
        code = form.cleaned_data["code"]
        recovery_codes, codes_left = [], None
        try:
            count_login_attempt(self.request, kind="factor", name=user_id)
            if is_enrolled:
                codes_left = second_factor.verify(user_id=user_id, code=code)
            else:
                recovery_codes = second_factor.enroll(user_id=user_id, seed=session.get(_SEED, ""), code=code)
        except TooManyRequests as error:
            return self._refuse(form, audit.THROTTLED, error.detail)
        except InvalidCode:
            return self._refuse(form, "code_invalid", "This code is wrong, or was used already. Wait for the next one.")
        audit.second_factor(self.request, "ok" if is_enrolled else "enrolled")
        session.cycle_key()
        session.pop(_SEED, None)
        admin_sessions.note_second_factor(session)
        if recovery_codes:
            context = {**(self.extra_context or {}), "codes": recovery_codes, "next": self.get_success_url()}
            return self.response_class(self.request, ["accounts/recovery_codes.html"], context)
        if codes_left is not None:
            messages.warning(self.request, f"You used a recovery code. {codes_left} are left.")
        return redirect(self.get_success_url())

    def _refuse(self, form: SecondFactorForm, outcome: str, message: str) -> HttpResponse:
        audit.second_factor(self.request, outcome)
        form.add_error("code", message)
        return self.form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs, title="Second factor", next=self.get_success_url())
        user = self.operator
        if second_factor.is_enrolled(user_id=user.pk):
            return context
        seed = self.request.session.setdefault(_SEED, second_factor.new_seed())
        secret = second_factor.secret_of(user_id=user.pk, seed=seed)
        uri = second_factor.otpauth_uri(email=user.email, secret=secret)
        return {**context, "uri": uri, "key": second_factor.key_of(secret), "qr_code": _qr_code(uri)}


def _qr_code(text: str) -> SafeString:
    # Safe: the library draws the SVG, which does not contain the text itself.
    return mark_safe(segno.make(text, error="m").svg_inline(scale=4, light="#fff"))
