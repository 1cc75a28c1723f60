"""Notes as JSON, and what clients may write of them."""

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from rest_framework import serializers

from notes.fields import (
    CodeLanguageField,
    LongTextField,
    SearchParameter,
    TagsField,
    TagsParameter,
    TitleField,
    WebAddressField,
)
from notes.models import SOURCES_MAX, Chapter, Note, NoteVersion, Topic
from notes.search import to_html
from notes.services import CHAPTERS_MAX, TOPICS_MAX
from utils.compiled_reads import Row
from utils.query_optimization import NOTE_ORDERINGS
from utils.serializers import BoundedListSerializer, StrictIntegerField, StrictSerializer

# --- What clients write -----------------------------------------------------------------------------------------------


class SourceSerializer(StrictSerializer):
    title = TitleField()
    url = WebAddressField()


class TopicWriteSerializer(StrictSerializer):
    """All that a topic says. With PUT and POST, what is not sent is empty."""

    title = TitleField()
    explanation = LongTextField(default="")
    code = LongTextField(default="")
    code_language = CodeLanguageField(default="")
    sources = BoundedListSerializer(child=SourceSerializer(), max_length=SOURCES_MAX, default=list)


class TopicCreateSerializer(TopicWriteSerializer):
    chapter = StrictIntegerField()
    order = StrictIntegerField(required=False, min_value=0)


class TopicMoveSerializer(StrictSerializer):
    order = StrictIntegerField(min_value=0)
    chapter = StrictIntegerField(required=False)


class ChapterWriteSerializer(StrictSerializer):
    title = TitleField()


class ChapterCreateSerializer(ChapterWriteSerializer):
    note = StrictIntegerField()
    order = StrictIntegerField(required=False, min_value=0)


class ChapterMoveSerializer(StrictSerializer):
    order = StrictIntegerField(min_value=0)
    note = StrictIntegerField(required=False)


class NewChapterSerializer(ChapterWriteSerializer):
    """A chapter of a note that is being created."""

    topics = BoundedListSerializer(child=TopicWriteSerializer(), max_length=TOPICS_MAX, default=list)


class NoteWriteSerializer(StrictSerializer):
    """A note's own fields. Its chapters have addresses of their own."""

    title = TitleField()
    status = serializers.ChoiceField(choices=Note.Status.choices, default=Note.Status.DRAFT)
    tags = TagsField(default=list)


class NoteCreateSerializer(NoteWriteSerializer):
    chapters = BoundedListSerializer(child=NewChapterSerializer(), max_length=CHAPTERS_MAX, default=list)


# --- What clients ask for ---------------------------------------------------------------------------------------------


class NoteFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=Note.Status.choices, required=False)
    tags = TagsParameter(required=False, help_text="Parted by commas; a note must have all of them.")
    search = SearchParameter(
        required=False,
        allow_blank=True,
        help_text="Every word must be in the note: its titles, tags, explanations or code.",
    )
    ordering = serializers.ChoiceField(choices=NOTE_ORDERINGS, required=False)
    trash = serializers.BooleanField(required=False, help_text="The notes in the trash instead of all others.")


class ChapterFilterSerializer(serializers.Serializer):
    note = serializers.IntegerField()


class TopicFilterSerializer(serializers.Serializer):
    chapter = serializers.IntegerField()


class SearchSerializer(serializers.Serializer):
    q = SearchParameter()


# --- What clients read ------------------------------------------------------------------------------------------------


class NoteSerializer(serializers.ModelSerializer):
    """What the list and the detail have in common; each has its own way to count."""

    class Meta:
        model = Note
        fields = [
            "id",
            "title",
            "status",
            "tags",
            "chapter_count",
            "topic_count",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class NoteListSerializer(NoteSerializer):
    chapter_count = serializers.IntegerField()
    topic_count = serializers.IntegerField()


class TopicInNoteSerializer(serializers.ModelSerializer):
    sources = SourceSerializer(many=True)

    class Meta:
        model = Topic
        fields = ["id", "title", "order", "explanation", "code", "code_language", "sources"]
        read_only_fields = fields


class ChapterInNoteSerializer(serializers.ModelSerializer):
    topics = TopicInNoteSerializer(many=True)

    class Meta:
        model = Chapter
        fields = ["id", "title", "order", "topics"]
        read_only_fields = fields


class NoteDetailSerializer(NoteSerializer):
    """A note with everything in it; takes one whose chapters and topics are prefetched."""

    chapter_count = serializers.SerializerMethodField()
    topic_count = serializers.SerializerMethodField()
    chapters = ChapterInNoteSerializer(many=True)

    class Meta(NoteSerializer.Meta):
        fields = [*NoteSerializer.Meta.fields, "chapters"]
        read_only_fields = fields

    def get_chapter_count(self, note: Note) -> int:
        return len(note.chapters.all())

    def get_topic_count(self, note: Note) -> int:
        return sum(len(chapter.topics.all()) for chapter in note.chapters.all())


class ChapterSerializer(serializers.ModelSerializer):
    """A chapter without its topics. ``version`` is its note's."""

    note = serializers.IntegerField(source="note_id")
    version = serializers.IntegerField()

    class Meta:
        model = Chapter
        fields = ["id", "note", "title", "order", "version"]
        read_only_fields = fields


class TopicSerializer(TopicInNoteSerializer):
    """``version`` is the note's."""

    chapter = serializers.IntegerField(source="chapter_id")
    version = serializers.IntegerField()

    class Meta(TopicInNoteSerializer.Meta):
        fields = [
            "id",
            "chapter",
            "title",
            "order",
            "explanation",
            "code",
            "code_language",
            "sources",
            "version",
        ]
        read_only_fields = fields


class NoteVersionListSerializer(serializers.ModelSerializer):
    class Meta:
        model = NoteVersion
        fields = ["version", "reason", "created_at"]
        read_only_fields = fields


class NoteVersionSerializer(NoteVersionListSerializer):
    """``snapshot``: the whole note as it was: title, status, tags, and chapters with their topics."""

    snapshot = serializers.DictField()

    class Meta(NoteVersionListSerializer.Meta):
        fields = [*NoteVersionListSerializer.Meta.fields, "snapshot"]
        read_only_fields = fields


class TagSerializer(serializers.Serializer):
    tag = serializers.CharField()
    count = serializers.IntegerField()


class SearchResultSerializer(serializers.Serializer):
    """A note or a topic; a note's result has no ``chapter_id`` and no ``topic_id``."""

    type = serializers.ChoiceField(choices=["note", "topic"])
    note_id = serializers.IntegerField()
    chapter_id = serializers.IntegerField(required=False)
    topic_id = serializers.IntegerField(required=False)
    title = serializers.CharField()
    snippet = serializers.CharField(help_text="HTML: everything escaped, matches in `<mark>`.")
    rank = serializers.FloatField()


class SearchResultsSerializer(serializers.Serializer):
    results = SearchResultSerializer(many=True)


def search_results(notes: Iterable[Row], topics: Iterable[Row], *, at_most: int) -> list[dict[str, Any]]:
    """Ranked notes and topics, each with ``rank`` and ``headline``, as one list, the best first."""
    found = [{"type": "note", "note_id": note["id"], **_shown(note)} for note in notes]
    found += [
        {
            "type": "topic",
            "note_id": topic["note_id"],
            "chapter_id": topic["chapter_id"],
            "topic_id": topic["id"],
            **_shown(topic),
        }
        for topic in topics
    ]
    return sorted(found, key=itemgetter("rank"), reverse=True)[:at_most]


def _shown(row: Row) -> Row:
    return {"title": row["title"], "snippet": to_html(row["headline"]), "rank": row["rank"]}
