"""The API's description: what OpenAPI tells of all operations alike, beyond what serializers and views tell it."""

from utils.http.openapi.document import complete
from utils.http.openapi.operations import ApiSchema

__all__ = ["ApiSchema", "complete"]
