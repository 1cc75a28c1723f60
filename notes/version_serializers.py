"""Serializers of kept versions of notes, and of the differences between them."""

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from notes.models import Note, NoteVersion
from notes.serializers import SourceSerializer


@extend_schema_field({})
class AnyJSONField(serializers.JSONField):
    """Any JSON value."""


class AgainstSerializer(serializers.Serializer):
    against = serializers.RegexField(
        r"^(?:current|[0-9]{1,10})\Z", required=False, help_text="Another kept version, or `current`."
    )


class SnapshotTopicSerializer(serializers.Serializer):
    """A topic at that version."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    explanation = serializers.CharField()
    code = serializers.CharField()
    code_language = serializers.CharField()
    sources = SourceSerializer(many=True)


class SnapshotChapterSerializer(serializers.Serializer):
    """A chapter with its topics at that version."""

    id = serializers.IntegerField()
    title = serializers.CharField()
    topics = SnapshotTopicSerializer(many=True)


class SnapshotSerializer(serializers.Serializer):
    """A whole note at one version. A restore keeps the ids of chapters and topics that still exist."""

    title = serializers.CharField()
    status = serializers.ChoiceField(choices=Note.Status.choices)
    tags = serializers.ListField(child=serializers.CharField())
    chapters = SnapshotChapterSerializer(many=True)


class DifferenceSerializer(serializers.Serializer):
    """A difference between two versions: in one field, chapter, topic or block."""

    field = serializers.ChoiceField(choices=["title", "status", "tags", "chapter", "topic", "code", "block"])
    id = AnyJSONField(help_text="The id of the note, the chapter or the topic is a number; that of a block is a text.")
    op = serializers.ChoiceField(choices=["insert", "delete", "replace", "move"])
    before = AnyJSONField(help_text="The old text; for a move, the old position; null for an insert.")
    after = AnyJSONField(help_text="The new text; for a move, the new position; null for a delete.")
    words = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="For a replaced text: pairs of `equal`, `delete` or `insert` and a part of the text.",
    )
    topic_id = serializers.IntegerField(required=False, help_text="The block's topic.")
    sources = serializers.ListField(
        child=SourceSerializer(many=True), required=False, help_text="For a topic: before and after, if they differ."
    )
    code_language = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="For code: before and after, if they differ."
    )


@extend_schema_serializer(component_name="NoteVersionSummary")
class NoteVersionListSerializer(serializers.ModelSerializer):
    """A kept version without its content: when it was kept, and before which kind of change."""

    class Meta:
        model = NoteVersion
        fields = ["version", "reason", "created_at"]
        read_only_fields = fields


@extend_schema_serializer(component_name="NoteVersion")
class NoteVersionSerializer(NoteVersionListSerializer):
    """A kept version with the whole note."""

    snapshot = SnapshotSerializer()
    diff = DifferenceSerializer(many=True, required=False, help_text="Only with `against`.")

    class Meta(NoteVersionListSerializer.Meta):
        fields = [*NoteVersionListSerializer.Meta.fields, "snapshot", "diff"]
        read_only_fields = fields
