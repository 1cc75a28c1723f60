"""Shared notes as HTML pages: without JavaScript and without a sign-in, for anyone who has the link."""

from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_http_methods

from accounts.login_throttle import count_login_attempt
from notes import markdown_pages, services
from notes.mathml import Formulas
from notes.models import Attachment, Share
from notes.reads import tree
from notes.views.attachments import FILES, served_file
from utils.admission.counting import count_request
from utils.http import pages
from utils.http.client_address import client_address
from utils.page_cache.fast_reads import opaque_etags
from utils.query_optimization import QueryOptimizer
from utils.streaming.files import file_response

SHARES = "shares"
"""The throttle scope of these pages, counted by IP address; they count against no other limit."""
COOKIE = "share"
REMEMBERED_SECONDS = 30 * 24 * 3600
REVALIDATED, NOT_STORED = "no-cache", "private, no-store"


@require_http_methods(["GET", "HEAD", "POST"])
def shared_note(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The note, or the form that asks for the password."""
    count_request(request, scope=SHARES, subject=client_address(request))
    share = QueryOptimizer.get_open_share(slug)
    if request.method == "POST":
        return _unlock(request, share)
    if not _is_unlocked(request, share):
        return _form(request, status=200)
    etag = f'"{_tag(share)}"'
    headers = {"ETag": etag, "Cache-Control": NOT_STORED if share.password else REVALIDATED}
    if _tag(share) in opaque_etags(request.headers.get("If-None-Match", "")):
        return HttpResponseNotModified(headers={**pages.HEADERS, **headers})
    response = pages.page(request, "notes/shared_note.html", {"note": _shown(share)}, headers=headers)
    if request.method == "GET":
        services.count_view(share)
    return response


@require_http_methods(["GET", "HEAD"])
def shared_file(request: HttpRequest, slug: str, pk: UUID) -> HttpResponseBase:
    """A file of a shared note, as long as the note is shared."""
    count_request(request, scope=FILES, subject=client_address(request))
    share = QueryOptimizer.get_open_share(slug)
    if not _is_unlocked(request, share):
        raise Share.DoesNotExist
    attachment = share.note.attachments.get(pk=pk)
    response = file_response(
        request,
        served_file(attachment),
        reader=-share.note_id,  # negative, as users have positive ids
        cache_control=NOT_STORED if share.password else REVALIDATED,
    )
    for name in ("Referrer-Policy", "X-Robots-Tag"):
        response[name] = pages.HEADERS[name]
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _unlock(request: HttpRequest, share: Share) -> HttpResponse:
    password = request.POST.get("password", "")
    if share.password:
        count_login_attempt(request, kind="share", name=share.pk)
    if not services.may_see(share, password):
        return _form(request, status=403, is_wrong=True)
    response = HttpResponseRedirect(request.path, status=303, headers={**pages.HEADERS, "Cache-Control": NOT_STORED})
    if share.password:
        seconds = REMEMBERED_SECONDS
        if share.expires_at is not None:
            seconds = min(seconds, max(1, int((share.expires_at - timezone.now()).total_seconds())))
        response.set_cookie(
            COOKIE,
            _signer(share).sign(share.pk.hex),
            max_age=seconds,
            path=request.path,
            secure=settings.SERVED_OVER_HTTPS,
            httponly=True,
            samesite="Lax",
        )
    return response


def _is_unlocked(request: HttpRequest, share: Share) -> bool:
    if not share.password:
        return True
    try:
        return _signer(share).unsign(request.COOKIES.get(COOKIE, ""), max_age=REMEMBERED_SECONDS) == share.pk.hex
    except signing.BadSignature:
        return False


def _signer(share: Share) -> signing.TimestampSigner:
    """The signer of cookies for one share and its password: a new password invalidates old cookies."""
    return signing.TimestampSigner(salt=f"notes.share:{share.password}")


def _form(request: HttpRequest, *, status: int, is_wrong: bool = False) -> HttpResponse:
    context = {"is_wrong": is_wrong}
    headers = {"Cache-Control": NOT_STORED}
    return pages.page(request, "notes/shared_password.html", context, status=status, headers=headers)


def _tag(share: Share) -> str:
    """The ETag of the whole page. ``share`` must be loaded by ``get_open_share``."""
    shown = (share.slug, share.note.version, share.attachments, share.newest_attachment, _rendering())  # type: ignore[attr-defined]  # annotated
    return blake2b(repr(shown).encode(), digest_size=16).hexdigest()


@cache
def _rendering() -> str:
    """A hash of the templates and styles: a new release may show the same note in another way."""
    digest = blake2b(digest_size=16)
    root = Path(settings.BASE_DIR)
    for name in (
        "notes/templates/notes/shared_note.html",
        "utils/templates/utils/page.html",
        "utils/static/utils/page.css",
        "notes/markdown_pages.py",
        "notes/mathml.py",
        "notes/blocks/formulas.py",
        "notes/blocks/splitting.py",
        "requirements.txt",
    ):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _shown(share: Share) -> dict[str, Any]:
    """The note with each explanation as HTML. Raises ``Note.DoesNotExist``."""
    note = tree(share.note_id, user_id=share.note.user_id)
    rows = Attachment.objects.filter(note=share.note_id).values_list("pk", "content_type")
    kinds = {str(pk): content_type for pk, content_type in rows}

    def address(attachment_id: str) -> str | None:
        return f"/s/{share.slug}/files/{attachment_id}/" if attachment_id in kinds else None

    formulas = Formulas()
    for chapter in note["chapters"]:
        for topic in chapter["topics"]:
            html = markdown_pages.to_html(topic["explanation"], address=address, kinds=kinds, formulas=formulas)
            topic["html"] = mark_safe(html)  # made by nh3
    return note
