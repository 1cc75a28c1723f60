"""Every path of the service. What matches nothing is answered in the one error shape."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

import accounts.urls
import ai_tasks.urls
import notes.urls
import notifications.urls
from utils.health import live, ready
from utils.views import not_found

development = []
if "debug_toolbar" in settings.INSTALLED_APPS:
    from debug_toolbar.toolbar import debug_toolbar_urls

    development = debug_toolbar_urls()

# What is asked most often stands first, and in one list: each path before it is compared, each list in it entered.
api = [
    *notifications.urls.urlpatterns,
    *notes.urls.urlpatterns,
    *ai_tasks.urls.urlpatterns,
    *accounts.urls.urlpatterns,
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
]

urlpatterns = [
    path("api/", include(api)),
    path("healthz/live", live, name="live"),
    path("healthz/ready", ready, name="ready"),
    path("", RedirectView.as_view(pattern_name="docs", permanent=False), name="home"),
    path("admin/", admin.site.urls),
    *development,
    re_path(r"", not_found, name="not-found"),
]
