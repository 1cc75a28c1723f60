"""The authentication of signed links in the OpenAPI schema. Defining the class registers it."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class SignedLink(OpenApiAuthenticationExtension):
    target_class = "notes.views.attachments.SignedLinkAuthentication"
    name = "signedLink"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "query",
            "name": "token",
            "description": "The token in the signed `url` of an attachment, for `<img>`, which cannot send headers.",
        }
