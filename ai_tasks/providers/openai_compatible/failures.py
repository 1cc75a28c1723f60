"""Classifies a provider's failure by its codes, then its words, then its status.

Vendors agree on none of these: a bad key comes with a 400, an empty account with a 429, an overload inside a 200. A
failure that may pass with time is ``ProviderUnavailable``; a retry after any other would only cost money.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from ai_tasks.providers.errors import ProviderError, ProviderRefused, ProviderUnavailable, UnusableAnswer
from ai_tasks.providers.openai_compatible.reading import REFUSAL
from ai_tasks.providers.openai_compatible.reports import Report
from ai_tasks.providers.openai_compatible.retry_after import wait_in_words

_BUSY = re.compile(
    r"per[ -]?(?:min|second|hour|day)|rate.?limit|too many requests|please wait"
    r"|\b[tr]p[md]\b|(?:again|retry) (?:in|after) ?\d",
    re.I,
)
_TOO_LARGE_AT_ALL = re.compile(r"request too large|(?:prompt|input) is too long|too large for (?:the )?model", re.I)
_NOT_SERVED = re.compile(
    r"(?:countr(?:y|ies)|regions?|territor(?:y|ies)|locations?)\b.{0,60}(?:not|n't)(?: be)? "
    r"(?:supported|available|allowed|permitted|served)"
    r"|not (?:supported|available|allowed|offered|permitted) (?:in|from) (?:your|this) "
    r"(?:country|region|territory|location)"
    r"|unsupported[_ ](?:country|region|territory|location)",
    re.I,
)
_NUMBER = re.compile(r"(?<![\w.-])(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?![\w-]|\.\d)")
_LIMIT = re.compile(
    r"(?:maximum|max|limit|at most|up to|n_ctx|<=?|(?:context|window) (?:length|size|window)|tokens? >)"
    r"[^0-9]{0,60}?(\d{1,3}(?:,\d{3})+|\d{3,9})"
    r"|(\d{1,3}(?:,\d{3})+|\d{3,9})(?:[ -]tokens?)? (?:maximum|limit|context|max)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of failure and how to recognise it: by codes, otherwise by words, otherwise by status."""

    failure: Callable[[Report], ProviderError]
    codes: frozenset[str]
    words: re.Pattern[str]
    statuses: frozenset[int] = frozenset()
    unless: re.Pattern[str] | None = None
    """Words that rule the kind out although ``words`` match."""

    def has_words(self, report: Report) -> bool:
        if report.is_html or (self.unless and self.unless.search(report.text)):
            return False
        return self.words.search(report.text) is not None


def _refused(code: str, detail: str) -> Callable[[Report], ProviderError]:
    return lambda _report: ProviderRefused(code, detail)


def _unavailable(code: str, detail: str) -> Callable[[Report], ProviderError]:
    return lambda report: ProviderUnavailable(code, detail, report.retry_after)


def _rate_limited(report: Report) -> ProviderError:
    wait = wait_in_words(report.text) if report.retry_after is None else report.retry_after
    return ProviderUnavailable("provider_rate_limited", "The AI provider accepts no more requests at the moment.", wait)


def _too_long(report: Report) -> ProviderError:
    """Includes the numbers of tokens if the provider names them."""
    detail = "The text is too long for the AI model"
    numbers = [int(number.replace(",", "")) for number in _NUMBER.findall(report.text)[:20]]
    match = _LIMIT.search(report.text)
    limit = int((match[1] or match[2]).replace(",", "")) if match else None
    asked = max(numbers, default=0)
    if limit is None or limit == asked:
        others = [number for number in numbers if 100 <= number < asked]
        limit = max(others, default=limit)
    if limit and asked > limit:
        detail += f": it has {asked:,} tokens, and the model accepts at most {limit:,}"
    elif limit:
        detail += f", which accepts at most {limit:,} tokens"
    return ProviderRefused("provider_context_too_long", f"{detail}.")


_failed = _unavailable("provider_failed", "The AI provider reported an internal error.")
_overloaded = _unavailable("provider_overloaded", "The AI provider is overloaded.")
_timed_out = _unavailable("provider_timeout", "The AI provider took too long to answer.")
_proxy_failed = _unavailable("provider_unavailable", "The AI provider cannot be reached through its proxy.")
_not_served = _refused(
    "provider_region_unsupported", "The AI provider does not serve the country in which this service runs."
)
_rejected = _refused("provider_rejected", "The AI provider did not accept this request.")
_misconfigured = _refused("provider_misconfigured", "No AI provider was found at the configured address.")
_moved = _refused("provider_misconfigured", "The AI provider sent a redirect, which is not followed.")


def _one_of(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE)


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.split())


_KINDS = (
    _Kind(
        failure=_refused("provider_quota_exhausted", "The AI provider's quota for this service is used up."),
        codes=_codes(
            "insufficient_quota insufficient_balance insufficient_credits insufficient_funds billing_error "
            "billing_hard_limit_reached billing_not_active payment_required credit_limit_reached quota_exhausted "
            "exceeded_current_quota_error budget_exceeded arrearage account_overdue out_of_credits no_credits"
        ),
        words=_one_of(
            r"insufficient[_ ](?:quota|balance|credit|fund)",
            r"(?:credit|account) balance",
            r"out of (?:credit|fund|money)",
            r"exceeded your (?:current|monthly)? ?quota",
            r"billing",
            r"payment required",
            r"spend(?:ing)? (?:limit|cap)",
            r"(?:add|buy|purchase|no|more|enough|requires?) (?:more )?credits",
            r"budget (?:has been )?exceeded",
            r"top[ -]up",
            r"recharge",
            r"arrear",
            r"(?:monthly|usage|plan)(?: usage)? limit|upgrade your plan",
            r"overdue",
            r"quota (?:has been |is )?(?:exhausted|used up)",
            r"balance (?:is )?(?:too low|not enough|insufficient)",
        ),
        statuses=frozenset({402}),
        unless=_BUSY,
    ),
    _Kind(
        failure=_too_long,
        codes=_codes(
            "context_length_exceeded exceed_context_size_error context_window_exceeded contextwindowexceedederror "
            "request_too_large input_too_long prompt_too_long too_many_tokens max_context_length_exceeded"
        ),
        words=_one_of(
            r"context[ _](?:length|window|size)",
            r"maximum (?:number of )?(?:context|tokens|prompt|input)",
            r"(?:prompt|input|request|message|conversation|text)s?(?: \w+){0,4} too (?:long|large)",
            r"too many (?:input |prompt )?tokens",
            r"tokens?\b.{0,60}exceed",
            r"exceed.{0,60}(?:token|context)",
            r"tokens?\b.{0,40}must be <",
            r"reduce the length",
        ),
        statuses=frozenset({413}),
        unless=_BUSY,
    ),
    _Kind(
        failure=lambda _report: UnusableAnswer("answer_refused", REFUSAL),
        codes=_codes(
            "content_filter content_policy_violation contentpolicyviolationerror responsibleaipolicyviolation "
            "moderation_blocked data_inspection_failed content_blocked safety"
        ),
        words=_one_of(
            r"content (?:management|filter|moderation|polic)",
            r"flagged",
            r"violat.{0,40}polic",
            r"safety system",
            r"moderation",
        ),
    ),
    _Kind(
        failure=_refused("provider_model_unknown", "The AI provider does not know the configured model."),
        codes=_codes(
            "model_not_found model_not_exist unknown_model invalid_model modelnotfound deploymentnotfound "
            "no_such_model unsupported_model model_not_supported model_decommissioned model_deprecated "
            "model_not_available"
        ),
        words=_one_of(
            r"\bmodels?\b.{0,120}(?:not found|(?:not|n't) exist|unknown|invalid|not supported|unsupported"
            r"|decommissioned|deprecated|no longer|not (?:a )?valid|not loaded|try pulling|not allowed|no access"
            r"|not available)",
            r"(?:unknown|invalid|unsupported|no such|non-?existent|unrecognized|unavailable) (?:\w+ )?model\b",
            r"(?:not|n't) have access to .{0,30}model",
            r"deployment.{0,60}(?:(?:not|n't) exist|not found)",
            r"no endpoints found",
            r"not a valid model",
        ),
        unless=re.compile(r"try again|temporar|overload|currently", re.I),
    ),
    _Kind(
        failure=_refused("provider_key_invalid", "The AI provider does not accept the configured key."),
        codes=_codes(
            "invalid_api_key authentication_error invalid_authentication_error authenticationerror api_key_invalid "
            "unauthenticated unauthorized invalid_token invalid_key missing_api_key auth_error expired_api_key "
            "token_expired permission_denied permission_error forbidden access_denied key_expired incorrect_api_key"
        ),
        words=_one_of(
            r"(?:api[ _-]?key|access token|auth(?:entication|ori[sz]ation)?|credential|bearer|\btoken|\bkey)s?\b.{0,40}"
            r"(?:invalid|incorrect|not valid|missing|expired|revoked|wrong|required|not found|unknown|fail"
            r"|disabled|deactivated)",
            r"(?:invalid|incorrect|missing|expired|revoked|wrong|bad|unknown|malformed|no|without)\b.{0,25}"
            r"(?:api[ _-]?key|access token|credential|authentication|auth token|bearer|authori[sz]ation|auth key)",
            r"(?:invalid|expired|bad) token\b(?! count)",
            r"unauthori[sz]ed",
            r"not authenticated",
            r"unauthenticated",
        ),
        statuses=frozenset({401, 403, 407}),
    ),
    _Kind(
        failure=_rate_limited,
        codes=_codes(
            "rate_limit_exceeded rate_limit_error ratelimiterror rate_limit_reached rate_limited too_many_requests "
            "resource_exhausted throttled throttling throttlingexception requests tokens limit_requests "
            "concurrency_limit"
        ),
        words=_one_of(
            r"rate.?limit",
            r"too many requests",
            r"throttl",
            r"per[ -]?(?:min|second|hour)",
            r"resource.{0,20}exhausted",
            r"slow down",
            r"quota exceeded",
        ),
        statuses=frozenset({429}),
    ),
    _Kind(
        failure=_overloaded,
        codes=_codes(
            "overloaded overloaded_error engine_overloaded engine_overloaded_error server_overloaded model_overloaded "
            "service_unavailable service_unavailable_error serviceunavailableerror unavailable server_busy "
            "capacity_exceeded unavailable_error loading_model insufficient_system_resource"
        ),
        words=_one_of(
            r"overload",
            r"over ?capacity",
            r"at capacity",
            r"\bbusy\b",
            r"temporarily unavailable",
            r"currently (?:loading|unavailable)",
            r"loading model",
            r"model is loading",
            r"high demand",
            r"service unavailable",
            r"no (?:healthy|available) (?:upstream|server|worker|deployment|backend)",
        ),
        statuses=frozenset({503, 529}),
    ),
    _Kind(
        failure=_timed_out,
        codes=_codes("timeout timeout_error request_timeout deadline_exceeded gateway_timeout"),
        words=_one_of(r"timed? ?-?out", r"deadline exceeded"),
        statuses=frozenset({408, 504}),
    ),
)


def failure_of(report: Report) -> ProviderError:
    """Convert a vendor's report to a ``ProviderError``."""
    status = report.status
    if status is not None and status < HTTPStatus.BAD_REQUEST:
        return _moved(report)
    if _TOO_LARGE_AT_ALL.search(report.text) and not report.is_html:
        return _too_long(report)
    if _NOT_SERVED.search(report.text) and not report.is_html:
        return _not_served(report)  # sent as a 403 with the codes of a bad key, but another key would not help
    kind = (
        next((kind for kind in _KINDS if kind.codes & report.codes), None)
        or next((kind for kind in _KINDS if kind.has_words(report)), None)
        or next((kind for kind in _KINDS if status in kind.statuses and not _is_a_proxys(report)), None)
    )
    return kind.failure(report) if kind else _by_status(report)


def _is_a_proxys(report: Report) -> bool:
    """Whether a proxy sent the error: its HTML page says nothing about the key or the model."""
    return report.is_html and report.status != HTTPStatus.UNAUTHORIZED and report.status not in (402, 413, 429)


def _by_status(report: Report) -> ProviderError:
    match report.status:
        case None:
            return _failed(report)
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            return _misconfigured(report)
        case HTTPStatus.CONFLICT | HTTPStatus.TOO_EARLY:
            return _failed(report)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _proxy_failed(report) if report.is_html else _failed(report)
    return _rejected(report)
