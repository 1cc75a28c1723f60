"""The HTML page with the API's documentation."""

from drf_spectacular.views import SpectacularSwaggerSplitView


class ApiDocsView(SpectacularSwaggerSplitView):
    """Swagger UI without inline scripts, which the Content-Security-Policy forbids."""

    template_name = "utils/api_docs.html"
    query_parameters = {"get": ("script",)}
