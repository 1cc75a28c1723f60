"""Every path of the service. What matches nothing is answered in the one error shape."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from utils.health import live, ready
from utils.views import not_found

development = []
if "debug_toolbar" in settings.INSTALLED_APPS:
    from debug_toolbar.toolbar import debug_toolbar_urls

    development = debug_toolbar_urls()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="docs", permanent=False), name="home"),
    path("admin/", admin.site.urls),
    path("healthz/live", live, name="live"),
    path("healthz/ready", ready, name="ready"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/", include("accounts.urls")),
    path("api/", include("notes.urls")),
    path("api/", include("ai_tasks.urls")),
    path("api/", include("notifications.urls")),
    *development,
    re_path(r"", not_found, name="not-found"),
]
