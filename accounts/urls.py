"""URL paths of accounts, below ``/api/``."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts import views

router = SimpleRouter(use_regex_path=False)
router.register("auth/sessions", views.SessionViewSet, basename="session")

urlpatterns = [
    path("auth/register/", views.RegisterView.as_view(), name="register"),
    path("auth/login/", views.LoginView.as_view(), name="login"),
    path("auth/refresh/", views.RefreshView.as_view(), name="refresh"),
    path("auth/logout/", views.LogoutView.as_view(), name="logout"),
    path("auth/logout-all/", views.LogoutAllView.as_view(), name="logout-all"),
    path("auth/stream-ticket/", views.StreamTicketView.as_view(), name="stream-ticket"),
    path("auth/password/change/", views.PasswordChangeView.as_view(), name="password-change"),
    path("auth/password/reset/", views.PasswordResetView.as_view(), name="password-reset"),
    path("auth/password/reset/confirm/", views.PasswordResetConfirmView.as_view(), name="password-reset-confirm"),
    path("users/me/", views.MeViewSet.as_view({"get": "retrieve", "patch": "partial_update"}), name="me"),
    path("users/me/delete/", views.DeleteMeView.as_view(), name="me-delete"),
    path("users/me/export/", views.ExportMeView.as_view(), name="me-export"),
    *router.urls,
]
