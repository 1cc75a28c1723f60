"""The authentication schemes in the OpenAPI schema. Defining the classes registers them, so importing is enough."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema


class BearerToken(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionJWTAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access` token of `register`, `login` or `refreshTokens`. Valid for 15 minutes.",
        }


class StreamTicket(OpenApiAuthenticationExtension):
    target_class = "accounts.views.streams.TicketAuthentication"
    name = "streamTicket"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "The ticket of `createStreamTicket`, for clients that cannot send headers.",
        }
