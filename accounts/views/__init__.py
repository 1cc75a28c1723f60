"""The API of accounts."""

from accounts.views.accounts import (
    DeleteMeView,
    ExportMeView,
    LoginView,
    LogoutAllView,
    LogoutView,
    MeViewSet,
    PasswordChangeView,
    PasswordResetConfirmView,
    PasswordResetView,
    RefreshView,
    RegisterView,
    SessionViewSet,
)
from accounts.views.stream_tickets import StreamTicketView

__all__ = [
    "DeleteMeView",
    "ExportMeView",
    "LoginView",
    "LogoutAllView",
    "LogoutView",
    "MeViewSet",
    "PasswordChangeView",
    "PasswordResetConfirmView",
    "PasswordResetView",
    "RefreshView",
    "RegisterView",
    "SessionViewSet",
    "StreamTicketView",
]
