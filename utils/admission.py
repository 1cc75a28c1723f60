"""One round trip to Redis per authenticated request: is the session live, is it within its limits, is the page there.

The three answers come from one script, so a read that hits costs one round trip, and a 304 moves no body.
"""

import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from django.conf import settings

from utils.caching import FILLER_MILLISECONDS, TOKEN_SECONDS, debt, dirty_key, new_token, token_key
from utils.redis import EPOCH_KEY, redis_guard
from utils.redis_scripts import Script, ScriptCall, run_together
from utils.throttling import Limit, Usage

STATE_SECONDS = 60
"""How long a session's state is believed; also how long a mark against it must stand."""

# A state is "<token_version>:<is_staff>". Its session may be marked as revoked, and its user's token version as raised;
# both marks outlive every state that was read before them.
_ADMIT = Script(
    """
local state_key, revoked_key, version_key = KEYS[1], KEYS[2], KEYS[3]
local claimed, now, page, tags = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local token, token_seconds, user, filler_ms, limits = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local staff_as_read, state_seconds = ARGV[10], ARGV[11]

if redis.call('EXISTS', revoked_key) == 1 then return {'refused'} end
local raised = tonumber(redis.call('GET', version_key) or 0)
if claimed < raised then return {'refused'} end
if staff_as_read ~= '' then redis.call('SET', state_key, claimed .. ':' .. staff_as_read, 'EX', state_seconds) end
local state = redis.call('GET', state_key)
if not state then return {'unknown'} end
local version = tonumber(string.match(state, '^(%d+):'))
if version < claimed then return {'unknown'} end
if claimed < version then return {'refused'} end

local usage, denied = {}, 0
for i = 1, limits do
  local count = tonumber(redis.call('GET', KEYS[6 + i]) or 0)
  if count >= tonumber(ARGV[10 + 2 * i]) then denied = i end
  usage[2 * i - 1] = count
end
for i = 1, limits do
  if denied == 0 then
    usage[2 * i - 1] = redis.call('INCR', KEYS[6 + i])
    if usage[2 * i - 1] == 1 then redis.call('PEXPIRE', KEYS[6 + i], ARGV[11 + 2 * i]) end
  end
  usage[2 * i] = redis.call('PTTL', KEYS[6 + i])
end
if denied > 0 or page == '' then return {'admitted', state, denied, usage, {'none'}} end

local epoch = redis.call('GET', KEYS[4])
if not epoch then
  epoch = token
  redis.call('SET', KEYS[4], epoch)
end
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now)
if redis.call('EXISTS', KEYS[6]) == 1 then return {'admitted', state, denied, usage, {'bypass'}} end
local current = redis.call('GET', KEYS[5])
if not current then
  current = token
  redis.call('SET', KEYS[5], current, 'EX', token_seconds)
end
local key = 'page:' .. epoch .. ':' .. user .. ':' .. current .. ':' .. page
local etag = redis.call('HGET', key, 'etag')
local answer
if not etag then
  local fills = redis.call('SET', key .. ':filler', '1', 'NX', 'PX', filler_ms)
  answer = {fills and 'miss' or 'busy', key}
elseif string.find(tags, '\\n' .. etag .. '\\n', 1, true) or string.find(tags, '\\n*\\n', 1, true) then
  answer = {'same', etag}
else
  answer = {'hit', etag, redis.call('HGET', key, 'body')}
end
return {'admitted', state, denied, usage, answer}
"""
)


class Subject(NamedTuple):
    """Who asks: the claims of a verified access token."""

    user_id: int
    session_id: int
    token_version: int


class Page(NamedTuple):
    """What the page cache has.

    ``hit``: the body and its tag. ``same``: the client has it (by its tag). ``miss``: nothing, and ``key`` is where to
    store it. ``busy``: nothing yet, but another request is about to store it at ``key``. ``bypass``: the cache must not
    be used for this request. ``none``: no page was asked for.
    """

    outcome: Literal["hit", "same", "miss", "busy", "bypass", "none"]
    etag: str = ""
    body: bytes = b""
    key: str = ""


NO_PAGE = Page("none")


class Admission(NamedTuple):
    """The answer of Redis. ``verdict`` is ``unknown`` when the session's state must be read from the database first."""

    verdict: Literal["admitted", "unknown", "refused"]
    is_staff: bool = False
    denied: Usage | None = None
    usage: Sequence[Usage] = ()
    page: Page = NO_PAGE
    beside: Any = None
    """What the script answered that was run in the same round trip."""


def state_key(session_id: int) -> str:
    return f"auth:state:{session_id}"


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
    beside: ScriptCall | None = None,
) -> Admission:
    """Ask Redis whether this request may go on, count it, and look for its page.

    A request that one limit denies counts against none. ``if_none_match`` are opaque tags without quotes, ``*``
    for any.
    ``staff_as_read`` is what the database said of a session that was ``unknown``: it is remembered, unless a mark says
    that it is out of date. ``beside`` is another script for the same round trip; it is run whatever the verdict, so it
    must change nothing that matters. Raises ``RedisUnavailable``.
    """
    user_id = subject.user_id
    with redis_guard() as client:
        debt.pay(client)
        call = _ADMIT.call(
            keys=[
                state_key(subject.session_id),
                revoked_key(subject.session_id),
                version_key(user_id),
                EPOCH_KEY,
                token_key(user_id),
                dirty_key(user_id),
                *(limit.key(user_id) for limit in limits),
            ],
            args=[
                subject.token_version,
                int(time.time() * 1000),
                page_name if settings.PAGE_CACHE_ENABLED and not debt.is_growing else "",
                "\n" + "\n".join(if_none_match) + "\n",
                new_token(),
                TOKEN_SECONDS,
                user_id,
                FILLER_MILLISECONDS,
                len(limits),
                "" if staff_as_read is None else int(staff_as_read),
                STATE_SECONDS,
                *(value for limit in limits for value in (limit.count, limit.seconds * 1000)),
            ],
        )
        answer, *others = run_together(client, call) if beside is None else run_together(client, call, beside)
    verdict = answer[0].decode()
    if verdict != "admitted":
        return Admission(verdict)
    _, state, denied, counts, page = answer
    usage = [Usage(limit, counts[2 * i], counts[2 * i + 1]) for i, limit in enumerate(limits)]
    return Admission(
        "admitted",
        is_staff=state.endswith(b":1"),
        denied=usage[denied - 1] if denied else None,
        usage=usage,
        page=_page(page),
        beside=others[0] if others else None,
    )


def _page(answer: list[bytes]) -> Page:
    outcome = answer[0].decode()
    match outcome:
        case "hit":
            return Page("hit", etag=answer[1].decode(), body=answer[2])
        case "same":
            return Page("same", etag=answer[1].decode())
        case "miss" | "busy":
            return Page(outcome, key=answer[1].decode())
        case "bypass":
            return Page("bypass")
    return NO_PAGE
