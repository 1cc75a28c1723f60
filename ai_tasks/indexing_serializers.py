"""What the API shows of the indexing of notes."""

from rest_framework import serializers


class IndexingErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class IndexingSerializer(serializers.Serializer):
    """How far the indexing of a note is; from `model` on, what it has of vectors, be they of an older text."""

    state = serializers.ChoiceField(choices=["off", "waiting", "running", "current", "failed"])
    model = serializers.CharField(allow_null=True)
    dimension = serializers.IntegerField(allow_null=True)
    passages = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Passages that the model rejected: only word search finds them.")
    indexed_at = serializers.DateTimeField(allow_null=True)
    error = IndexingErrorSerializer(allow_null=True, help_text="Why it failed, or why it waits.")
