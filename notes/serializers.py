"""Serializers of notes: responses, and the fields that clients may write."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from notes.blocks.splitting import Kind
from notes.blocks.stored import ID_LENGTH, decode
from notes.contents import CHAPTER_SHOWN, NOTE_SHOWN, NOTE_WRITTEN, TOPIC_SHOWN
from notes.fields import (
    CodeLanguageField,
    LongTextField,
    SearchParameter,
    TagField,
    TagsField,
    TagsParameter,
    TitleField,
    WebAddressField,
)
from notes.models import SOURCES_MAX, Chapter, Note, Topic
from notes.querysets import NOTE_ORDERINGS
from notes.services import BLOCKS_MAX, BULK_MAX, CHAPTERS_MAX, TOPICS_MAX
from notes.templates import TEMPLATES
from notes.wiki_links import targets_in
from utils.database.compiled_queries import Row
from utils.http.serializers import (
    BoundedListField,
    BoundedListSerializer,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
    too_many,
)

PARTS_MAX = 1_000
"""The maximum of chapters and topics in one request that creates a note: 10,000 took 1.7 s. More can be added later."""


# --- Request bodies ---------------------------------------------------------------------------------------------------


class SourceSerializer(StrictSerializer):
    """A source of a topic."""

    title = TitleField()
    url = WebAddressField()


class TopicWriteSerializer(StrictSerializer):
    """The content of a topic. In a PUT and a POST, a field that is left out becomes empty."""

    title = TitleField()
    explanation = LongTextField(default="")
    code = LongTextField(default="")
    code_language = CodeLanguageField(default="")
    sources = BoundedListSerializer(child=SourceSerializer(), max_length=SOURCES_MAX, default=list)


class TopicCreateSerializer(TopicWriteSerializer):
    """A new topic, and its chapter."""

    chapter = StrictIntegerField()
    order = StrictIntegerField(required=False, min_value=0)


class TopicMoveSerializer(StrictSerializer):
    """The new position of a topic, in its chapter or in another one."""

    order = StrictIntegerField(min_value=0)
    chapter = StrictIntegerField(required=False)


class ChapterWriteSerializer(StrictSerializer):
    """A chapter's own fields."""

    title = TitleField()


class ChapterCreateSerializer(ChapterWriteSerializer):
    """A new chapter, and its note."""

    note = StrictIntegerField()
    order = StrictIntegerField(required=False, min_value=0)


class ChapterMoveSerializer(StrictSerializer):
    """The new position of a chapter, in its note or in another one."""

    order = StrictIntegerField(min_value=0)
    note = StrictIntegerField(required=False)


class NewChapterSerializer(ChapterWriteSerializer):
    """A chapter of a note that is being created."""

    topics = BoundedListSerializer(child=TopicWriteSerializer(), max_length=TOPICS_MAX, default=list)


class NoteWriteSerializer(StrictSerializer):
    """A note's own fields. Its chapters have their own URLs."""

    title = TitleField()
    status = serializers.ChoiceField(choices=Note.Status.choices, default=Note.Status.DRAFT)
    tags = TagsField(default=list)


class NoteCreateSerializer(NoteWriteSerializer):
    """A new note, optionally with chapters and topics: those in the body, or those of a template."""

    title = TitleField(required=False, help_text="Required without a template.")
    template = serializers.ChoiceField(
        choices=list(TEMPLATES), required=False, help_text="One that `listNoteTemplates` shows."
    )
    chapters = BoundedListSerializer(child=NewChapterSerializer(), max_length=CHAPTERS_MAX, default=list)

    def to_internal_value(self, data: Any) -> Any:
        """Count chapters and topics before validating them, as validation takes time for each."""
        chapters = data.get("chapters") if isinstance(data, Mapping) else None
        if isinstance(chapters, list):
            topics = (chapter.get("topics") for chapter in chapters if isinstance(chapter, Mapping))
            parts = len(chapters) + sum(len(some) for some in topics if isinstance(some, list))
            if parts > PARTS_MAX:
                raise serializers.ValidationError({"chapters": too_many(PARTS_MAX).detail})
        return super().to_internal_value(data)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Replace the template's name by its chapters and topics."""
        template = attrs.pop("template", None)
        if template is None:
            if "title" not in attrs:
                raise serializers.ValidationError(
                    {"title": self.fields["title"].error_messages["required"]}, "required"
                )
            return attrs
        if attrs["chapters"]:
            raise serializers.ValidationError({"chapters": "A template has chapters of its own."}, "invalid")
        return {**attrs, **TEMPLATES[template].note(attrs.get("title"))}


class BulkSerializer(StrictSerializer):
    """One change to many notes."""

    ids = BoundedListField(
        child=StrictIntegerField(), allow_empty=False, max_length=BULK_MAX, help_text="Without duplicates."
    )
    action = serializers.ChoiceField(choices=["tag", "untag", "status", "trash", "restore"])
    value = StrictCharField(
        required=False, help_text="The tag to add or remove, or the new status; the other actions have no value."
    )

    def validate_ids(self, ids: list[int]) -> list[int]:
        if len(set(ids)) < len(ids):
            raise serializers.ValidationError("Each id may be named once.", code="duplicate")
        return ids

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        field = {"tag": TagField(), "untag": TagField(), "status": NoteWriteSerializer().fields["status"]}.get(
            attrs["action"]
        )
        if field is None and "value" in attrs:
            raise serializers.ValidationError({"value": ErrorDetail("This action has no value.", code="unknown_field")})
        if field is not None:
            if "value" not in attrs:
                raise serializers.ValidationError({"value": ErrorDetail("This action needs a value.", code="required")})
            try:
                attrs["value"] = field.run_validation(attrs["value"])
            except serializers.ValidationError as error:
                raise serializers.ValidationError({"value": error.detail}) from error
        return attrs


class EmptyTrashSerializer(StrictSerializer):
    """The number of notes in the trash that the client has seen."""

    count = StrictIntegerField(min_value=0)


# --- Query parameters -------------------------------------------------------------------------------------------------


class NoteFilterSerializer(serializers.Serializer):
    status = serializers.ChoiceField(choices=Note.Status.choices, required=False)
    tags = TagsParameter(required=False, help_text="Separated by commas; a note must have all of them.")
    search = SearchParameter(
        required=False,
        allow_blank=True,
        help_text="Every word must be in the note: its titles, tags, explanations or code. The last word may be the "
        'beginning of one. `"a phrase"`, `-word`, `tag:name` and `status:draft` are understood.',
    )
    ordering = serializers.ChoiceField(choices=NOTE_ORDERINGS, required=False)
    trash = serializers.BooleanField(required=False, help_text="List the notes in the trash instead of the others.")


class ChapterFilterSerializer(serializers.Serializer):
    note = serializers.IntegerField()


class TopicFilterSerializer(serializers.Serializer):
    chapter = serializers.IntegerField()


class BlockFilterSerializer(serializers.Serializer):
    cursor = serializers.CharField(
        required=False,
        max_length=ID_LENGTH,
        help_text="The start of the page. Use the whole `next` link.",
    )
    page_size = serializers.IntegerField(required=False, min_value=1, max_value=BLOCKS_MAX, default=BLOCKS_MAX)


class SearchSerializer(serializers.Serializer):
    q = SearchParameter(
        help_text="Every word must be found. The last word may be the beginning of one. "
        '`"a phrase"`, `-word`, `tag:name` and `status:draft` are understood.'
    )
    facets = serializers.BooleanField(
        required=False, help_text="Count the tags and statuses of the notes that have every word."
    )


# --- Responses --------------------------------------------------------------------------------------------------------


class NoteSerializer(serializers.ModelSerializer):
    """The common fields of the list and the detail, which count chapters and topics in different ways."""

    class Meta:
        model = Note
        fields = ["id", *NOTE_WRITTEN, "chapter_count", "topic_count", *NOTE_SHOWN[4:]]
        read_only_fields = fields


@extend_schema_serializer(component_name="NoteSummary")
class NoteListSerializer(NoteSerializer):
    """A note without its chapters and topics."""

    chapter_count = serializers.IntegerField()
    topic_count = serializers.IntegerField()


class TopicInNoteSerializer(serializers.ModelSerializer):
    """A topic in its note's response."""

    sources = SourceSerializer(many=True)

    class Meta:
        model = Topic
        fields = [*TOPIC_SHOWN]
        read_only_fields = fields


class ChapterInNoteSerializer(serializers.ModelSerializer):
    """A chapter with its topics in its note's response."""

    topics = TopicInNoteSerializer(many=True)

    class Meta:
        model = Chapter
        fields = [*CHAPTER_SHOWN, "topics"]
        read_only_fields = fields


@extend_schema_serializer(component_name="Note")
class NoteDetailSerializer(NoteSerializer):
    """A note with all its chapters and topics."""

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
    """A chapter without its topics. `version` is its note's version."""

    note = serializers.IntegerField(source="note_id")
    version = serializers.IntegerField()

    class Meta:
        model = Chapter
        fields = ["id", "note", *CHAPTER_SHOWN[1:], "version"]
        read_only_fields = fields


class TopicSerializer(TopicInNoteSerializer):
    """A topic. `version` is its note's version."""

    chapter = serializers.IntegerField(source="chapter_id")
    version = serializers.IntegerField()

    class Meta(TopicInNoteSerializer.Meta):
        fields = ["id", "chapter", *TOPIC_SHOWN[1:], "version"]
        read_only_fields = fields


class BulkResultSerializer(serializers.Serializer):
    """The number of notes that changed."""

    changed = serializers.IntegerField()


class BlockSerializer(serializers.Serializer):
    """A part of a topic's explanation. Joined in order, the texts of all blocks are the explanation."""

    id = serializers.CharField(help_text="Stays the same when the block is edited or moved. At most 24 characters.")
    order = serializers.IntegerField(min_value=0)
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    text = serializers.CharField(help_text="With the blank lines that follow it.")
    hash = serializers.CharField(help_text="The hash of the exact text; CRLF and LF count as equal.")


class BlockPageSerializer(serializers.Serializer):
    """A page of a topic's blocks."""

    next = serializers.CharField(allow_null=True, help_text="Relative link to the next page.")
    results = BlockSerializer(many=True)


class TemplateSerializer(serializers.Serializer):
    """A template for new notes. A note made from it is an ordinary one."""

    id = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()


class OutlineEntrySerializer(serializers.Serializer):
    """A chapter, a topic in it, or a heading in the topic's text. A heading has no `id`."""

    type = serializers.ChoiceField(choices=["chapter", "topic", "heading"])
    id = serializers.IntegerField(allow_null=True)
    title = serializers.CharField()
    level = serializers.IntegerField(help_text="1 for a chapter, 2 for a topic; for a heading, the number of `#`.")
    children = serializers.ListField(child=serializers.DictField(), help_text="Entries like this one.")


class BacklinkSerializer(serializers.Serializer):
    """A topic that links to the note, and the topic's own note."""

    note_id = serializers.IntegerField()
    title = serializers.CharField()
    topic_id = serializers.IntegerField()
    block_id = serializers.SerializerMethodField(help_text="The block with the link; null until the topic has blocks.")

    def get_block_id(self, link: Row) -> str | None:
        blocks = decode(link["blocks"], link["explanation"]) or ()
        return next((block.id for block in blocks if link["target"] in targets_in(block.text)), None)


class BrokenLinkSerializer(serializers.Serializer):
    """A link to a note that does not exist, and the topic that has the link."""

    note_id = serializers.IntegerField()
    topic_id = serializers.IntegerField()
    target = serializers.CharField()


class TagSerializer(serializers.Serializer):
    """A tag, and the number of notes that have it."""

    tag = serializers.CharField()
    count = serializers.IntegerField()
