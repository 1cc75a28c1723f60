"""URL paths of accounts, below ``/api/auth/`` and ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts import views

router = SimpleRouter(use_regex_path=False)
router.register("sessions", views.SessionViewSet, basename="session")

auth = [
    path("register/", views.RegisterView.as_view(), name="register"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("refresh/", views.RefreshView.as_view(), name="refresh"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    path("logout-all/", views.LogoutAllView.as_view(), name="logout-all"),
    path("stream-ticket/", views.StreamTicketView.as_view(), name="stream-ticket"),
    path("password/change/", views.PasswordChangeView.as_view(), name="password-change"),
    path("password/reset/", views.PasswordResetView.as_view(), name="password-reset"),
    path("password/reset/confirm/", views.PasswordResetConfirmView.as_view(), name="password-reset-confirm"),
    *router.urls,
]

users = [
    path("users/me/", views.MeViewSet.as_view({"get": "retrieve", "patch": "partial_update"}), name="me"),
    path("users/me/delete/", views.DeleteMeView.as_view(), name="me-delete"),
    path("users/me/export/", views.ExportMeView.as_view(), name="me-export"),
]
