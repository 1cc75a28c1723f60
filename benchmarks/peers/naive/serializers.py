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
    chapter_count = serializers.SerializerMethodField()
    topic_count = serializers.SerializerMethodField()

    class Meta:
        model = Note
        fields = [
            "id", "title", "status", "tags", "chapter_count", "topic_count", "version", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["version"]

    def get_chapter_count(self, note: Note) -> int:
        return note.chapters.count()

    def get_topic_count(self, note: Note) -> int:
        return Topic.objects.filter(chapter__note=note).count()


class NoteDetailSerializer(NoteListSerializer):
    chapters = ChapterSerializer(many=True, read_only=True)

    class Meta(NoteListSerializer.Meta):
        fields = [*NoteListSerializer.Meta.fields, "chapters"]
