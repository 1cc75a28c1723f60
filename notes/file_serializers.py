"""Serializers of attachments and shares."""

import re
from datetime import datetime

from django.utils import timezone
from rest_framework import serializers

from notes.fields import EXPORTED_MAX, IdsParameter
from notes.links import signed_url
from notes.models import Attachment, Share
from utils.http.serializers import StrictCharField, StrictSerializer

# Characters that names of attachments may have (`readable_name`) and that would end or change a Markdown link's text.
_MARKS, _ESCAPED = re.compile(r"[\[\]`&]"), r"\\\g<0>"
PASSWORD_MAX_LENGTH = 128


class AttachmentCreateSerializer(StrictSerializer):
    """A form with one file: PNG, JPEG, GIF, WebP or PDF, detected from its content."""

    file = serializers.FileField()


class SharePasswordSerializer(StrictSerializer):
    """The password of a link, if it has one."""

    password = StrictCharField(required=False, max_length=PASSWORD_MAX_LENGTH, trim_whitespace=False)


class ShareCreateSerializer(SharePasswordSerializer):
    """When a link expires, and its password. Both are optional; by default a link is good until it is deleted."""

    expires_at = serializers.DateTimeField(required=False, allow_null=True)

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This must be in the future.", code="in_the_past")
        return value


class ExportFormatSerializer(serializers.Serializer):
    format = serializers.ChoiceField(choices=["md", "json"], default="md")


class ExportSelectionSerializer(serializers.Serializer):
    ids = IdsParameter(help_text=f"Separated by commas; at most {EXPORTED_MAX}.")


class AttachmentSerializer(serializers.ModelSerializer):
    """A file of a note. `url` opens it without a sign-in for some minutes; `markdown` embeds it in a text."""

    url = serializers.SerializerMethodField()
    markdown = serializers.SerializerMethodField(help_text="It never contains a signed link, so it may be stored.")

    class Meta:
        model = Attachment
        fields = ["id", "name", "content_type", "size", "url", "markdown"]
        read_only_fields = fields

    def get_url(self, attachment: Attachment) -> str:
        return signed_url(attachment)

    def get_markdown(self, attachment: Attachment) -> str:
        return f"![{_MARKS.sub(_ESCAPED, attachment.name)}]({attachment.path})"


class ShareSerializer(serializers.ModelSerializer):
    """A link to a note. Anyone who has `url` can read the note."""

    url = serializers.SerializerMethodField()
    has_password = serializers.SerializerMethodField()

    class Meta:
        model = Share
        fields = ["id", "slug", "url", "has_password", "expires_at", "views", "created_at"]
        read_only_fields = fields

    def get_url(self, share: Share) -> str:
        return f"{self.context['origin']}/s/{share.slug}/"

    def get_has_password(self, share: Share) -> bool:
        return bool(share.password)
