"""Notifications as JSON."""

from typing import Any

from rest_framework import serializers

from notifications.inbox import CAPACITY
from notifications.models import Notification
from utils.serializers import BoundedListField, StrictBooleanField, StrictSerializer, StrictUUIDField


class PendingNotificationSerializer(serializers.ModelSerializer):
    """An unread notification, as ``notifications.entries.Entry.body`` writes it."""

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
    """What a polling client gets."""

    count = serializers.IntegerField(help_text=f"{CAPACITY} means {CAPACITY} or more.")
    results = PendingNotificationSerializer(many=True)


class ReadSerializer(StrictSerializer):
    """Which notifications were read: exactly one of ``ids`` and ``all``."""

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


class ReadCountSerializer(serializers.Serializer):
    count = serializers.IntegerField(help_text="How many of them were unread.")
