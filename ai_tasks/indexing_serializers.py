"""What the API shows of the indexing of notes."""

from rest_framework import serializers


class IndexingErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class IndexingSerializer(serializers.Serializer):
    """How far a note is indexed. The fields from `model` on describe its vectors, which may be of an older text."""

    state = serializers.ChoiceField(choices=["off", "waiting", "running", "current", "failed"])
    model = serializers.CharField(allow_null=True)
    dimension = serializers.IntegerField(allow_null=True)
    passages = serializers.IntegerField()
    skipped = serializers.IntegerField(help_text="Passages that the model rejected: only word search finds them.")
    indexed_at = serializers.DateTimeField(allow_null=True)
    error = IndexingErrorSerializer(allow_null=True, help_text="The reason why it failed or waits.")
