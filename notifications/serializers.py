"""Notifications as JSON."""

from typing import Any

from rest_framework import serializers

from notifications.inbox import CAPACITY
from notifications.models import Notification
from utils.http.serializers import BoundedListField, StrictBooleanField, StrictSerializer, StrictUUIDField


class PendingNotificationSerializer(serializers.ModelSerializer):
    """An unread notification."""

    class Meta:
        model = Notification
        fields = ["id", "type", "title", "message", "action_id", "created_at"]
        read_only_fields = fields


class NotificationSerializer(PendingNotificationSerializer):
    """A notification of the history."""

    class Meta(PendingNotificationSerializer.Meta):
        fields = [*PendingNotificationSerializer.Meta.fields, "read_at"]
        read_only_fields = fields


class PendingSerializer(serializers.Serializer):
    """The unread notifications, the newest first."""

    count = serializers.IntegerField(help_text=f"{CAPACITY} means {CAPACITY} or more.")
    results = PendingNotificationSerializer(many=True)


class ReadSerializer(StrictSerializer):
    """Which notifications were read: exactly one of `ids` and `all`."""

    ids = BoundedListField(child=StrictUUIDField(), allow_empty=False, max_length=CAPACITY, required=False)
    all = StrictBooleanField(required=False)

    def validate_all(self, value: bool) -> bool:
        if not value:
            raise serializers.ValidationError("Leave it out, or send true.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) != 1:
            raise serializers.ValidationError("Send either ids or all.")
        return attrs


class TaskProgressEventSerializer(serializers.Serializer):
    """The progress of a task. Within one attempt `progress` never falls."""

    id = serializers.UUIDField(help_text="The task's id.")
    attempt = serializers.IntegerField()
    progress = serializers.IntegerField(min_value=0, max_value=100)
    message = serializers.CharField()


class TaskEndedEventSerializer(serializers.Serializer):
    """The end of a task. `getTask` shows its result."""

    id = serializers.UUIDField(help_text="The task's id.")
    attempt = serializers.IntegerField()
    status = serializers.ChoiceField(choices=["succeeded", "failed", "cancelled"])
    message = serializers.CharField()


class UserEventDataSerializer(serializers.Serializer):
    """The data of an event of the user's stream."""


class ReadCountSerializer(serializers.Serializer):
    """How many notifications were marked."""

    count = serializers.IntegerField(help_text="How many were unread before.")
