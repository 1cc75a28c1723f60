"""Signing in and out, passwords, sessions, and one's own account."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import claims_of
from accounts.login_throttle import count_attempt, count_refresh, remember_address
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
from accounts.services.sessions import Device
from utils.client_address import client_address
from utils.exceptions import NotFound
from utils.long_answers import Download
from utils.pages import FastRead, FastReads, fast_read
from utils.query_optimization import QueryOptimizer

_NOT_STORED = {"Cache-Control": "no-store"}  # answers that hold tokens


def device_of(request: Request) -> Device:
    """Where the request comes from, as far as it tells."""
    user_agent = "".join(filter(str.isprintable, request.headers.get("User-Agent", "")))
    return Device(user_agent=user_agent, address=client_address(request))


class AccountView(APIView):
    """A view with one serializer for what it is sent."""

    serializer_class: type[serializers.Serializer]

    def read_body(self, request: Request) -> dict[str, Any]:
        """Return the validated body. Raises ``ValidationError``."""
        body = self.serializer_class(data=request.data)
        body.is_valid(raise_exception=True)
        return body.validated_data


class PublicView(AccountView):
    """Open to everybody, whatever token they may send along; each has limits of its own."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class RegisterView(PublicView):
    serializer_class = RegistrationSerializer

    @extend_schema(operation_id="auth_register", responses={201: SignedInSerializer})
    def post(self, request: Request) -> Response:
        """Make an account and sign in."""
        data = self.read_body(request)
        count_attempt(request, kind="email", name=data["email"])
        signed_in = sign_in.register(**data, device=device_of(request))
        remember_address(request, email=data["email"])
        return Response(SignedInSerializer(signed_in).data, status=status.HTTP_201_CREATED, headers=_NOT_STORED)


class LoginView(PublicView):
    serializer_class = LoginSerializer

    @extend_schema(operation_id="auth_login", responses=SignedInSerializer)
    def post(self, request: Request) -> Response:
        """Sign in: begin a session on this device."""
        data = self.read_body(request)
        count_attempt(request, kind="email", name=data["email"])
        signed_in = sign_in.log_in(**data, device=device_of(request))
        remember_address(request, email=data["email"])
        return Response(SignedInSerializer(signed_in).data, headers=_NOT_STORED)


class RefreshView(PublicView):
    serializer_class = RefreshSerializer

    @extend_schema(operation_id="auth_refresh", responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Exchange a refresh token for the next pair. A token that was used before ends its session."""
        data = self.read_body(request)
        count_refresh(request)
        pair = sessions.refresh(token=data["refresh"])
        return Response(TokenPairSerializer(pair).data, headers=_NOT_STORED)


class LogoutView(APIView):
    @extend_schema(operation_id="auth_logout", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End this session."""
        claims = claims_of(request)
        sessions.revoke(session_id=claims.session_id, user_id=claims.user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(APIView):
    @extend_schema(operation_id="auth_logout_all", request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """End every session, this one included."""
        sessions.end_all_sessions(user_id=claims_of(request).user_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SessionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet):
    """Devices that are signed in, the latest first."""

    lookup_value_converter = "int"
    queryset = Session.objects.none()  # tells the schema the id's type
    serializer_class = SessionSerializer

    def get_queryset(self) -> Any:
        return QueryOptimizer.get_sessions_for_list(self.request.user)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: int) -> Response:
        """Sign one device out."""
        if not sessions.revoke(session_id=pk, user_id=claims_of(request).user_id):
            raise NotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordChangeView(AccountView):
    serializer_class = PasswordChangeSerializer

    @extend_schema(operation_id="auth_password_change", responses=TokenPairSerializer)
    def post(self, request: Request) -> Response:
        """Choose another password. Every session ends; the answer is a new one's pair."""
        data = self.read_body(request)
        count_attempt(request, kind="user", name=claims_of(request).user_id)
        pair = passwords.change(user_id=claims_of(request).user_id, **data, device=device_of(request))
        return Response(TokenPairSerializer(pair).data, headers=_NOT_STORED)


class PasswordResetView(PublicView):
    serializer_class = PasswordResetSerializer

    @extend_schema(operation_id="auth_password_reset", responses={204: None})
    def post(self, request: Request) -> Response:
        """Ask for a mail that lets its reader choose a new password. It is not told whether anybody has the address."""
        data = self.read_body(request)
        count_attempt(request, kind="reset", name=data["email"])
        password_resets.request_reset(email=data["email"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordResetConfirmView(PublicView):
    serializer_class = PasswordResetConfirmSerializer

    @extend_schema(operation_id="auth_password_reset_confirm", responses={204: None})
    def post(self, request: Request) -> Response:
        """Choose a new password by the mail's code. Every session ends."""
        data = self.read_body(request)
        count_attempt(request, kind="token", name=data["token"])
        password_resets.confirm_reset(token=data["token"], new_password=data["new_password"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeViewSet(FastReads, viewsets.GenericViewSet):
    """The signed-in user's own profile."""

    fast_reads = {"retrieve": FastRead(ttl=settings.CACHE_TTL_PROFILE, has_query=False)}
    serializer_class = UserSerializer
    pagination_class = None

    @extend_schema(operation_id="users_me_retrieve", responses=UserSerializer)
    @fast_read
    def retrieve(self, request: Request) -> Response:
        """Show one's profile."""
        return Response(self._profile(request))

    @extend_schema(operation_id="users_me_update", request=ProfileSerializer, responses=UserSerializer)
    def partial_update(self, request: Request) -> Response:
        """Change one's name."""
        body = ProfileSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        if body.validated_data:
            users.rename(user_id=claims_of(request).user_id, name=body.validated_data["name"])
        return Response(self._profile(request))

    def _profile(self, request: Request) -> dict[str, Any]:
        return UserSerializer(QueryOptimizer.get_user_profile(claims_of(request).user_id)).data


class DeleteMeView(AccountView):
    serializer_class = PasswordSerializer

    @extend_schema(operation_id="users_me_delete", responses={204: None})
    def post(self, request: Request) -> Response:
        """Delete the account with everything in it, for good."""
        data = self.read_body(request)
        count_attempt(request, kind="user", name=claims_of(request).user_id)
        deletion.delete_my_account(user_id=claims_of(request).user_id, password=data["password"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class ExportMeView(APIView):
    @extend_schema(
        operation_id="users_me_export",
        responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "A zip of JSON and Markdown.")},
    )
    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        """Download everything that is stored about one. One download at a time: another is 503 meanwhile."""
        user_id = claims_of(request).user_id
        archive = Download(
            request._request,
            export.stream_export(user_id=user_id),
            user_id=user_id,
            places=export.places,
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
