import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import jwt
import orjson
import pytest
from django.conf import settings

from accounts import tokens
from accounts.tokens import (
    AccessClaims,
    InvalidToken,
    RefreshClaims,
    issue_access,
    issue_refresh,
    read_access,
    read_refresh,
)

KEY = settings.JWT_SIGNING_KEY
CLAIMS = {"u": 1, "v": 2, "s": 3}


def signed(claims: dict, *, key: str = KEY, algorithm: str = "HS256", seconds: float = 60) -> str:
    return jwt.encode({"exp": int(time.time() + seconds), **claims}, key, algorithm=algorithm)


def test_an_access_token_says_who_it_speaks_for():
    issued_at = datetime.now(UTC)

    claims = read_access(issue_access(user_id=1, token_version=2, session_id=3, issued_at=issued_at))

    assert claims == AccessClaims(1, 2, 3, int((issued_at + timedelta(minutes=15)).timestamp()))


def test_an_access_token_has_four_claims_and_at_most_150_bytes_for_billions_of_rows():
    token = issue_access(user_id=9_999_999_999, token_version=99_999, session_id=9_999_999_999)

    payload = orjson.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    assert sorted(payload) == ["exp", "s", "u", "v"]
    assert len(token) <= 150


def test_a_refresh_token_is_the_same_for_the_same_row():
    row = {"session_id": 3, "generation": 7, "expires_at": datetime.now(UTC) + timedelta(days=30)}

    assert issue_refresh(**row) == issue_refresh(**row)
    assert read_refresh(issue_refresh(**row)) == RefreshClaims(session_id=3, generation=7)


def unsigned(claims: dict) -> str:
    parts = [{"alg": "none"}, {"exp": int(time.time()) + 60, **claims}]
    return ".".join(urlsafe_b64encode(orjson.dumps(part)).decode().rstrip("=") for part in parts) + "."


BAD_ACCESS_TOKENS = {
    "empty": "",
    "no token at all": "abc",
    "three empty parts": "..",
    "expired": signed(CLAIMS, seconds=-1),
    "another key": signed(CLAIMS, key="another-key-that-is-long-enough-for-hmac"),
    "the other secret of the settings": signed(CLAIMS, key=settings.SECRET_KEY.ljust(32, "-")),
    "no algorithm": unsigned(CLAIMS),
    "another algorithm": signed(CLAIMS, algorithm="HS512", key=KEY.ljust(64, "-")),
    "the right key padded for another algorithm": signed(CLAIMS, algorithm="HS384", key=KEY.ljust(48, "-")),
    "a refresh token": issue_refresh(session_id=3, generation=1, expires_at=datetime.now(UTC) + timedelta(days=30)),
    "a claim more": signed({**CLAIMS, "is_staff": True}),
    "a claim less": signed({"u": 1, "v": 2}),
    "no expiry": jwt.encode(CLAIMS, KEY, algorithm="HS256"),
    "an audience": signed({**CLAIMS, "aud": "refresh"}),
    "a megabyte": "a" * 1_000_000,
}


@pytest.mark.parametrize("token", BAD_ACCESS_TOKENS.values(), ids=BAD_ACCESS_TOKENS.keys())
def test_what_is_no_valid_access_token_is_refused(token):
    with pytest.raises(InvalidToken):
        read_access(token)


def test_an_access_token_does_not_refresh():
    with pytest.raises(InvalidToken):
        read_refresh(issue_access(user_id=1, token_version=1, session_id=1))


def test_an_altered_token_is_refused():
    header, _, signature = issue_access(user_id=1, token_version=1, session_id=1).split(".")
    _, other_payload, _ = issue_access(user_id=2, token_version=1, session_id=1).split(".")

    with pytest.raises(InvalidToken):
        read_access(f"{header}.{other_payload}.{signature}")


def test_a_token_seen_before_is_not_verified_again_and_still_expires(monkeypatch):
    token = issue_access(user_id=1, token_version=1, session_id=1)
    claims = read_access(token)

    assert read_access(token) is claims  # another verification would make others that are equal
    monkeypatch.setattr(tokens.time, "time", lambda: claims.expires_at)
    with pytest.raises(InvalidToken):
        read_access(token)


def test_what_is_remembered_is_bounded():
    first, second, *others = (
        issue_access(user_id=number, token_version=1, session_id=1) for number in range(1, 16_387)
    )
    claims = read_access(first), read_access(second)
    for token in others[:-1]:
        read_access(token)
    assert read_access(second) is claims[1]  # 16,385 were seen

    assert read_access(first) is not claims[0]
    assert read_access(others[0]).user_id == 3
