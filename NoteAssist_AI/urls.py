"""All URL paths of the service. Unknown paths get a 404 in the error format of the API."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path

import accounts.urls
import ai_tasks.urls
import notes.shared_urls
import notes.urls
import notifications.urls
import study.urls
from NoteAssist_AI.api_docs import ApiDocsView
from NoteAssist_AI.api_root import ApiRootView
from NoteAssist_AI.api_schema import SchemaView
from NoteAssist_AI.web_client import favicon, service_worker, web_client
from utils.http.errors import not_found
from utils.http.health import live, ready
from utils.http.metrics import metrics

development = []
if "debug_toolbar" in settings.INSTALLED_APPS:
    from debug_toolbar.toolbar import debug_toolbar_urls

    development = debug_toolbar_urls()

# The resolver tries the patterns in order, so those with a prefix come before those without.
api = [
    path("study/", include(study.urls)),
    path("auth/", include(accounts.urls.auth)),
    path("ai/", include(ai_tasks.urls.ai)),
    path("notifications/", include(notifications.urls)),
    *notes.urls.urlpatterns,
    *ai_tasks.urls.others,
    *accounts.urls.users,
    path("", ApiRootView.as_view(), name="api-root"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", ApiDocsView.as_view(url_name="schema"), name="docs"),
]

urlpatterns = [
    path("api/", include(api)),
    path("s/", include(notes.shared_urls)),
    path("healthz/live", live, name="live"),
    path("healthz/ready", ready, name="ready"),
    path("metrics", metrics, name="metrics"),
    path("", web_client, name="web-client"),
    path("sw.js", service_worker, name="service-worker"),
    path("favicon.ico", favicon, name="favicon"),
    path("admin/", admin.site.urls),
    *development,
    re_path(r"", not_found, name="not-found"),
]
