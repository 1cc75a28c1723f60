"""The page that shows the API's description."""

from drf_spectacular.views import SpectacularSwaggerSplitView


class ApiDocsView(SpectacularSwaggerSplitView):
    """Swagger UI, whose first script and styles come from URLs of their own, as the Content-Security-Policy demands."""

    template_name = "utils/api_docs.html"
    query_parameters = {"get": ("script",)}
