"""Signing in and out, passwords, sessions, and the user's own account."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.audit import audited
from accounts.authentication import claims_of
from accounts.login_throttle import count_by_address, count_login_attempt, count_refresh, remember_address
from accounts.models import Session
from accounts.serializers import (
    LoginSerializer,
    PasswordChangeSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
    PasswordSerializer,
    ProfileSerializer,
    RefreshSerializer,
    RegistrationSerializer,
    SessionSerializer,
    SignedInSerializer,
    TokenPairSerializer,
    UserSerializer,
)
from accounts.services import deletion, export, password_resets, passwords, sessions, sign_in, users
from accounts.services.constant_time_login import TooManyChecks
from accounts.services.password_resets import InvalidResetToken
from accounts.services.passwords import UnacceptablePassword, WrongPassword
from accounts.services.sessions import Device
from accounts.services.sign_in import EmailTaken, InvalidCredentials
from accounts.tokens import InvalidToken
from utils.http.client_address import client_address
from utils.http.errors import NotFound, TooManyRequests
from utils.http.json import PublicJSONParser
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.requests import read_body
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, cached_page
from utils.query_optimization import QueryOptimizer
from utils.streaming import archives
from utils.streaming.slots import Download

SIGNED_OUT = OpenApiResponse(description="Signed out.")
_NOT_STORED = {"Cache-Control": "no-store"}  # for responses that contain tokens


def device_of(request: Request) -> Device:
    """The device that the request comes from, as far as its headers show it."""
    user_agent = "".join(filter(str.isprintable, request.headers.get("User-Agent", "")))
    return Device(user_agent=user_agent, address=client_address(request))


class AccountView(APIView):
    """A view with one serializer for its request body."""

    serializer_class: type[serializers.Serializer]

    def validated_body(self, request: Request) -> dict[str, Any]:
        return read_body(self.serializer_class, request)


class PublicView(AccountView):
    """A view without authentication: it ignores tokens. Each public view has its own limits."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (PublicJSONParser,)

    def validated_body(self, request: Request) -> dict[str, Any]:
        """Count the request first, so that requests with invalid bodies are limited as well."""
        count_by_address(request)
        return super().validated_body(request)


class RegisterView(PublicView):
    serializer_class = RegistrationSerializer

    errors = {"post": (EmailTaken, UnacceptablePassword, TooManyRequests)}

    @extend_schema(operation_id="register", responses={201: SignedInSerializer})
    def post(self, request: Request) -> Response:
        """Create an account.

        Signs in at once: the response has the tokens of a first session. An address that already has an account is
        refused with `email_taken`; no other response reveals whether an address has one.
        """
        data = self.validated_body(request)
        with audited(request, "register", email=data["email"]) as subject:
            count_login_attempt(request, kind="email", name=data["email"])
            signed_in = sign_in.register(**data, device=device_of(request))
            subject.user_id = signed_in.user.pk
        remember_address(request, email=data["email"])
        return Response(SignedInSerializer(signed_in).data, status=status.HTTP_201_CREATED, headers=_NOT_STORED)


class LoginView(PublicView):
    serializer_class = LoginSerializer

    errors = {"post": (InvalidCredentials, TooManyChecks, TooManyRequests)}

    @extend_schema(operation_id="login", responses=SignedInSerializer)
    def post(self, request: Request) -> Response:
        """Sign in.

        Begins a session on this device. Send `access` as a bearer token; it expires after 15 minutes, so exchange
        `refresh` for the next pair before that. An unknown address and a wrong password get the same response.
        """
        data = self.validated_body(request)
        with audited(request, "sign_in", email=data["email"]) as subject:
            count_login_attempt(request, kind="email", name=data["email"])
            signed_in = sign_in.log_in(**data, device=device_of(request))
            subject.user_id = signed_in.user.pk
        remember_address(request, email=data["email"])
        return Response(SignedInSerializer(signed_in).data, headers=_NOT_STORED)


class RefreshView(PublicView):
    serializer_class = RefreshSerializer

    errors = {"post": (InvalidToken, TooManyRequests)}

    @extend_schema(operation_id="refreshTokens", responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair.

        A refresh token is good for one exchange. Sent again within 10 seconds it gets the same pair again, since the
        first response may have been lost. Sent later it ends its session, since somebody else must have a copy.
        """
        with audited(request, "refresh", failures_only=True):
            count_refresh(request)
        data = read_body(self.serializer_class, request)  # count_refresh has counted it
        with audited(request, "refresh", failures_only=True):
            pair = sessions.refresh(token=data["refresh"])
        return Response(TokenPairSerializer(pair).data, headers=_NOT_STORED)


class LogoutView(APIView):
    @extend_schema(operation_id="logout", request=None, responses={204: SIGNED_OUT})
    def post(self, request: Request) -> Response:
        """Sign out.

        Ends the session of this request: its tokens are refused from now on.
        """
        claims = claims_of(request)
        with audited(request, "session_revoked", user_id=claims.user_id):
            sessions.revoke(session_id=claims.session_id, user_id=claims.user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(APIView):
    @extend_schema(operation_id="logoutEverywhere", request=None, responses={204: SIGNED_OUT})
    def post(self, request: Request) -> Response:
        """Sign out on every device.

        Ends every session of the user, this one included.
        """
        user_id = claims_of(request).user_id
        with audited(request, "all_sessions_revoked", user_id=user_id):
            sessions.end_all_sessions(user_id=user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Devices that are signed in."""

    lookup_value_converter = "int"
    query_parameters = {"list": PAGE_PARAMETERS}
    queryset = Session.objects.none()  # tells drf-spectacular the id's type
    serializer_class = SessionSerializer

    def get_queryset(self) -> Any:
        return QueryOptimizer.get_sessions_for_list(self.request.user)

    @extend_schema(operation_id="listSessions")
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """List sessions.

        One for each device that is signed in, the newest first. `current` marks the session of this request.
        """
        return super().list(request, *args, **kwargs)

    @extend_schema(operation_id="endSession", responses={204: SIGNED_OUT})
    def destroy(self, request: Request, pk: int) -> Response:
        """Sign one device out.

        Ends a session: its tokens are refused from now on.
        """
        user_id = claims_of(request).user_id
        with audited(request, "session_revoked", user_id=user_id):
            if not sessions.revoke(session_id=pk, user_id=user_id):
                raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordChangeView(AccountView):
    serializer_class = PasswordChangeSerializer

    errors = {"post": (WrongPassword, UnacceptablePassword, TooManyChecks)}

    @extend_schema(operation_id="changePassword", responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Change the password.

        Every session ends, on every device. The response has the tokens of a new one.
        """
        data = self.validated_body(request)
        user_id = claims_of(request).user_id
        with audited(request, "password_change", user_id=user_id):
            count_login_attempt(request, kind="user", name=user_id)
            pair = passwords.change(user_id=user_id, **data, device=device_of(request))
        return Response(TokenPairSerializer(pair).data, headers=_NOT_STORED)


class PasswordResetView(PublicView):
    serializer_class = PasswordResetSerializer

    errors = {"post": (TooManyRequests,)}

    @extend_schema(
        operation_id="requestPasswordReset",
        responses={204: OpenApiResponse(description="If an account has this address, an email is on its way.")},
    )
    def post(self, request: Request) -> Response:
        """Ask for a password reset.

        Sends a mail with a code, which is good for an hour, for choosing a new password. The response is the same
        whether or not the address has an account.
        """
        data = self.validated_body(request)
        with audited(request, "password_reset_asked", email=data["email"]):
            count_login_attempt(request, kind="reset", name=data["email"])
            password_resets.request_reset(email=data["email"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetConfirmView(PublicView):
    serializer_class = PasswordResetConfirmSerializer

    errors = {"post": (InvalidResetToken, UnacceptablePassword, TooManyRequests)}

    @extend_schema(
        operation_id="confirmPasswordReset",
        responses={204: OpenApiResponse(description="The password was changed. Sign in with it.")},
    )
    def post(self, request: Request) -> Response:
        """Choose a new password with the mail's code.

        A code works once. Every session of the user ends.
        """
        data = self.validated_body(request)
        with audited(request, "password_reset") as subject:
            count_login_attempt(request, kind="token", name=data["token"])
            subject.user_id = password_resets.confirm_reset(token=data["token"], new_password=data["new_password"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeViewSet(FastReadMixin, viewsets.GenericViewSet):
    """The signed-in user's own profile."""

    read_specs = {"retrieve": ReadSpec(ttl=settings.CACHE_TTL_PROFILE)}
    serializer_class = UserSerializer
    pagination_class = None

    @extend_schema(operation_id="getMe", responses=UserSerializer)
    @cached_page
    def retrieve(self, request: Request) -> Response:
        """Show your profile.

        The signed-in user: address, name, and when the account was created.
        """
        return Response(self._profile(request))

    @extend_schema(operation_id="updateMe", request=ProfileSerializer, responses=UserSerializer)
    def partial_update(self, request: Request) -> Response:
        """Change your name.

        A field that is left out stays unchanged. The address cannot be changed.
        """
        changes = read_body(ProfileSerializer, request, partial=True)
        if changes:
            users.rename(user_id=claims_of(request).user_id, name=changes["name"])
        return Response(self._profile(request))

    def _profile(self, request: Request) -> dict[str, Any]:
        return UserSerializer(QueryOptimizer.get_user_profile(claims_of(request).user_id)).data


class DeleteMeView(AccountView):
    serializer_class = PasswordSerializer

    errors = {"post": (WrongPassword, TooManyChecks)}

    @extend_schema(operation_id="deleteMe", responses={204: OpenApiResponse(description="The account was deleted.")})
    def post(self, request: Request) -> Response:
        """Delete your account.

        Deletes everything that is stored about you, for good. Requires the password.
        """
        data = self.validated_body(request)
        user_id = claims_of(request).user_id
        with audited(request, "account_deletion", user_id=user_id):
            count_login_attempt(request, kind="user", name=user_id)
            deletion.delete_my_account(user_id=user_id, password=data["password"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportMeView(APIView):
    errors = {"get": (archives.TooManyExports,)}

    @extend_schema(
        operation_id="exportMe",
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "A zip of JSON and Markdown.")},
        parameters=[
            OpenApiParameter(
                "Content-Disposition",
                str,
                OpenApiParameter.HEADER,
                response=[200],
                description='Suggests a file name: `attachment; filename="noteassist-export.zip"`.',
            )
        ],
    )
    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        """Download your data.

        A zip of everything that is stored about you, as JSON for programs and Markdown for people. One download at a
        time: a second one gets a 503 meanwhile.
        """
        user_id = claims_of(request).user_id
        archive = Download(
            request._request,
            export.stream_export(user_id=user_id),
            user_id=user_id,
            limiter=archives.limiter,
            at_most=settings.EXPORTS_AT_ONCE,
        )
        return StreamingHttpResponse(
            archive,
            content_type="application/zip",
            headers={
                "Content-Disposition": 'attachment; filename="noteassist-export.zip"',
                "Cache-Control": "no-store",
            },
        )
