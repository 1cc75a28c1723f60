"""Who Schemathesis is: a user for all that is tried, and a new one for each call that would sign that user out."""

import os
import uuid
from typing import Any

import requests
import schemathesis

API = os.environ["NOTEASSIST_URL"]
PASSWORD = "correct-horse-battery"
ENDS_SESSIONS = {"logout", "logoutEverywhere", "endSession", "changePassword", "deleteMe"}


def sign_up() -> str:
    """The access token of a new user."""
    account = {"email": f"{uuid.uuid4().hex}@example.com", "name": "", "password": PASSWORD}
    answer = requests.post(f"{API}/api/auth/register/", json=account, timeout=30)
    answer.raise_for_status()
    return str(answer.json()["access"])


@schemathesis.auth(refresh_interval=600)
class Bearer:
    def get(self, case: Any, context: Any) -> str:
        return sign_up()

    def set(self, case: Any, data: str, context: Any) -> None:
        ends = case.operation.definition.raw.get("operationId") in ENDS_SESSIONS
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {sign_up() if ends else data}"}
