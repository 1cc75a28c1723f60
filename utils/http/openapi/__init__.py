"""The API's description (OpenAPI): the parts that all operations share, beyond their serializers and views."""

from utils.http.openapi.document import complete
from utils.http.openapi.operations import ApiSchema

__all__ = ["ApiSchema", "complete"]
