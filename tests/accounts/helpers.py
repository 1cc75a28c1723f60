"""What tests of sessions do with tokens, and what tests of fast reads have in common."""

from rest_framework.test import APIClient

from accounts.models import Session
from accounts.tokens import issue_refresh
from tests.service_client import ServiceClient

REFRESH = "/api/auth/refresh/"
TARGETS = ["list", "detail", "pending", "task", "search"]
"""Fast reads: what the fixture ``targets`` has the paths of."""


def refresh_of(session: Session) -> str:
    session.refresh_from_db()
    return issue_refresh(session_id=session.pk, generation=session.generation, expires_at=session.expires_at)


def refresh(token: str):
    return ServiceClient().post(REFRESH, {"refresh": token}, format="json")


def is_signed_in(client: APIClient) -> bool:
    response = client.get("/api/users/me/")
    assert response.status_code in (200, 401)
    return response.status_code == 200
