"""Serializers and views that both conventional ways have: there is one obvious way to write them."""

from typing import Any

from rest_framework import generics, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.tokens import RefreshToken

from accounts.models import User
from ai_tasks.models import AITask
from notifications.models import Notification


class NoOpView(APIView):
    def get(self, request: Request) -> Response:
        return Response(status=204)


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "email", "name", "password", "is_staff", "date_joined"]
        read_only_fields = ["id", "is_staff", "date_joined"]
        extra_kwargs = {"password": {"write_only": True}}

    def create(self, validated_data: dict[str, Any]) -> User:
        return User.objects.create_user(**validated_data)


class RegisterView(generics.CreateAPIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    serializer_class = UserSerializer

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = serializer.save()
        refresh = RefreshToken.for_user(user)
        pair = {"access": str(refresh.access_token), "refresh": str(refresh)}
        return Response({**pair, "user": serializer.data}, status=201)


class NotificationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Notification
        fields = ["id", "type", "title", "message", "action_id", "created_at"]


class PendingView(APIView):
    def get(self, request: Request) -> Response:
        unread = Notification.objects.filter(user=request.user, read_at=None).order_by("-created_at", "-id")[:100]
        data = NotificationSerializer(unread, many=True).data
        return Response({"count": len(data), "results": data})


class TaskSerializer(serializers.ModelSerializer):
    timestamp = serializers.DateTimeField(source="updated_at", read_only=True)
    topic_id = serializers.IntegerField(read_only=True)
    retry_of = serializers.UUIDField(source="retry_of_id", read_only=True)
    applicable = serializers.BooleanField(source="is_applicable", read_only=True)
    error = serializers.SerializerMethodField()
    usage = serializers.SerializerMethodField()
    links = serializers.SerializerMethodField()

    class Meta:
        model = AITask
        fields = [
            "id", "request_type", "status", "progress", "message", "timestamp", "request_data", "topic_id", "apply",
            "applicable", "error", "provider", "model", "usage", "cached", "retry_of", "attempt", "applied_at",
            "created_at", "started_at", "finished_at", "links", "result",
        ]  # fmt: skip
        read_only_fields = [field for field in fields if field not in ("request_type", "request_data")]

    def get_error(self, task: AITask) -> dict[str, str] | None:
        return {"code": task.error_code, "detail": task.error_detail} if task.error_code else None

    def get_usage(self, task: AITask) -> dict[str, Any]:
        return {
            "input_tokens": task.input_tokens,
            "output_tokens": task.output_tokens,
            "estimated": task.usage_estimated,
            "cost": None,
        }

    def get_links(self, task: AITask) -> dict[str, str]:
        path = f"/api/ai/tasks/{task.pk}/"
        return {"self": path, "events": f"{path}events/", "cancel": f"{path}cancel/"}
