"""One round trip to Redis per authenticated request: check the session, count the limits, look up the cached page.

One script does all three, so a cache hit costs one round trip, and a 304 transfers no body.
"""

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from django.conf import settings

from utils.admission.throttling import Limit, LimitUsage
from utils.page_cache.invalidation import epoch_bump
from utils.page_cache.keys import FILL_LOCK_MILLISECONDS, TOKEN_SECONDS, change_keys, new_token
from utils.page_cache.lookup import LOOK_UP, NO_PAGE, CachedPage, read_page
from utils.redis.client import EPOCH_KEY
from utils.redis.scripts import Script, ScriptCall, run_guarded

STATE_SECONDS = 60
"""How long a cached session state is valid; revocation markers live longer (``accounts.session_state``)."""

# A state is "<user>:<token_version>:<is_staff>". Its session may be marked as revoked, and its user's token version as
# raised; both revocation markers outlive every state that was read before them.
_ADMIT = Script(
    LOOK_UP
    + """
local state_key, revoked_key, version_key = KEYS[1], KEYS[2], KEYS[3]
local claimed, user, staff_as_read, state_seconds = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local limits = tonumber(ARGV[5])

if redis.call('EXISTS', revoked_key) == 1 then return {'refused'} end
local raised = tonumber(redis.call('GET', version_key) or 0)
if claimed < raised then return {'refused'} end
if staff_as_read ~= '' then
  redis.call('SET', state_key, user .. ':' .. claimed .. ':' .. staff_as_read, 'EX', state_seconds)
end
local state = redis.call('GET', state_key)
if not state then return {'unknown'} end
local of_user, version = string.match(state, '^(%d+):(%d+):')
if of_user ~= user then return {'refused'} end
version = tonumber(version)
if version < claimed then return {'unknown'} end
if claimed < version then return {'refused'} end

local usage, denied = {}, 0
for i = 1, limits do
  local count = tonumber(redis.call('GET', KEYS[3 + i]) or 0)
  if count >= tonumber(ARGV[4 + 2 * i]) then denied = i end
  usage[2 * i - 1] = count
end
for i = 1, limits do
  if denied == 0 then
    usage[2 * i - 1] = redis.call('INCR', KEYS[3 + i])
    if usage[2 * i - 1] == 1 then redis.call('PEXPIRE', KEYS[3 + i], ARGV[5 + 2 * i]) end
  end
  usage[2 * i] = redis.call('PTTL', KEYS[3 + i])
end
if denied > 0 or #KEYS == 3 + limits then return {'admitted', state, denied, usage, {'none'}} end

local epoch_key, writers_key, token_key = unpack(KEYS, 4 + limits)
local page, tags, token, token_seconds, lock_ms, now = unpack(ARGV, 6 + 2 * limits)
local answer = look_up_page(
  epoch_key, token_key, writers_key, user, page, tags, token, token_seconds, lock_ms, now
)
return {'admitted', state, denied, usage, answer}
"""
)


class Subject(NamedTuple):
    """The claims of a verified access token that admission checks."""

    user_id: int
    session_id: int
    token_version: int


class Admission(NamedTuple):
    """The result of admission. ``verdict`` is ``unknown`` if the session's state must be read from the database first.

    ``denied`` is the exceeded limit, if any; ``usage`` has all limits that the request counts against.
    """

    verdict: Literal["admitted", "unknown", "refused"]
    is_staff: bool = False
    denied: LimitUsage | None = None
    usage: Sequence[LimitUsage] = ()
    page: CachedPage = NO_PAGE
    extra_reply: Any = None
    """The reply of the extra script."""


def state_key(session_id: int) -> str:
    return f"auth:session:{session_id}"


def revoked_key(session_id: int) -> str:
    return f"auth:revoked:{session_id}"


def version_key(user_id: int) -> str:
    return f"auth:version:{user_id}"


def admit(
    subject: Subject,
    *,
    limits: Sequence[Limit] = (),
    page_name: str = "",
    if_none_match: Sequence[str] = (),
    staff_as_read: bool | None = None,
    extra_script: ScriptCall | None = None,
) -> Admission:
    """Check the session, count the request and look up its page, in one round trip.

    A request that one limit denies counts against none. ``if_none_match`` has ETags without quotes, or ``*`` for any.
    ``staff_as_read`` is the database's value for a session that was ``unknown``; it is cached, unless a revocation
    marker shows that it is outdated. ``extra_script`` is run in the same round trip, whatever the verdict, so it must
    be harmless for a refused request. Raises ``RedisUnavailable``.
    """
    user_id = subject.user_id
    page_keys: Sequence[str] = ()
    page_args: Sequence[str | int] = ()
    if page_name and settings.PAGE_CACHE_ENABLED:
        page_keys = EPOCH_KEY, *change_keys(user_id)
        tags = "\n" + "\n".join(if_none_match) + "\n"
        page_args = page_name, tags, new_token(), TOKEN_SECONDS, FILL_LOCK_MILLISECONDS, int(time.time() * 1000)
    call = _ADMIT.call(
        keys=[
            state_key(subject.session_id),
            revoked_key(subject.session_id),
            version_key(user_id),
            *(f"{limit.key_prefix}{user_id}" for limit in limits),
            *page_keys,
        ],
        args=[
            subject.token_version,
            user_id,
            "" if staff_as_read is None else int(staff_as_read),
            STATE_SECONDS,
            len(limits),
            *(value for limit in limits for value in (limit.count, limit.seconds * 1000)),
            *page_args,
        ],
    )
    if epoch_bump.is_pending:
        epoch_bump.carry_out()
    reply, *others = run_guarded(call) if extra_script is None else run_guarded(call, extra_script)
    verdict = reply[0].decode()
    if verdict != "admitted":
        return Admission(verdict)
    _, state, denied, counts, page = reply
    usage = [LimitUsage(limit, counts[2 * i], counts[2 * i + 1]) for i, limit in enumerate(limits)]
    return Admission(
        "admitted",
        is_staff=state.endswith(b":1"),
        denied=usage[denied - 1] if denied else None,
        usage=usage,
        page=read_page(page) if page_keys else NO_PAGE,
        extra_reply=others[0] if others else None,
    )
