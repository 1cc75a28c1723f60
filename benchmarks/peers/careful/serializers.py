from rest_framework import serializers

from notes.models import Chapter, Note, Topic


class TopicSerializer(serializers.ModelSerializer):
    class Meta:
        model = Topic
        fields = ["id", "title", "order", "explanation", "code", "code_language", "sources"]


class ChapterSerializer(serializers.ModelSerializer):
    topics = TopicSerializer(many=True, read_only=True)

    class Meta:
        model = Chapter
        fields = ["id", "title", "order", "topics"]


class NoteListSerializer(serializers.ModelSerializer):
    chapter_count = serializers.IntegerField(read_only=True)
    topic_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Note
        fields = [
            "id", "title", "status", "tags", "chapter_count", "topic_count", "version", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["version"]


class NoteDetailSerializer(NoteListSerializer):
    chapters = ChapterSerializer(many=True, read_only=True)

    class Meta(NoteListSerializer.Meta):
        fields = [*NoteListSerializer.Meta.fields, "chapters"]


class TopicResultSerializer(serializers.ModelSerializer):
    note_id = serializers.IntegerField(source="chapter.note_id")
    topic_id = serializers.IntegerField(source="id")
    snippet = serializers.CharField()
    rank = serializers.FloatField()

    class Meta:
        model = Topic
        fields = ["note_id", "chapter_id", "topic_id", "title", "snippet", "rank"]
