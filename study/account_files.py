"""Imports the study files of an account's export: see ``notes.importers``.

Anyone may have written such a file, so each row is validated like a request. An invalid row is left out and reported.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.utils import timezone
from rest_framework import serializers

from notes.fields import TagsField, TitleField
from notes.importers import CannotImport, FileReport, ImportContext, Importer, SourceFile, register
from notes.markdown.archives import UnreadableEntry
from notes.models import TEXT_MAX_BYTES, Attachment, Topic
from notes.services import get_blocks
from study.exam_serializers import NOTES_MAX, TARGET_MAX, TARGET_MIN, TargetField, TimeZoneField
from study.memory import MAXIMUM_INTERVAL
from study.models import BLOCK_ID_MAX_LENGTH, DURATION_MAX_MS, StudyEvent
from study.pictures import IncomingPictures
from study.serializers import CardWriteSerializer
from study.services import get_settings, import_cards, import_events, import_exams, update_settings
from study.services.exams import DAYS_AHEAD_MAX, EXAMS_MAX
from study.settings_serializers import RetentionField, SettingsWriteSerializer
from utils.http.serializers import (
    BoundedListField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
    StrictUUIDField,
)

NOT_MOVED = "What was answered stays in the account where it was; the reviews that came of it are among the reviews."
FILE_MAX_BYTES = 64 * 1024 * 1024
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_ATTACHMENT = re.compile(r"(?<=/api/attachments/)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?=/)")

Row = dict[str, Any]


class PastField(serializers.DateTimeField):
    """A timestamp that may exist in an export: not in the future."""

    def to_internal_value(self, data: Any) -> datetime:
        value = super().to_internal_value(data)
        if not _EARLIEST <= value <= timezone.now():
            raise serializers.ValidationError("This time is not in the past.", code="out_of_range")
        return value


class ExportedCardSerializer(CardWriteSerializer):
    id = StrictUUIDField()
    block_id = StrictCharField(allow_blank=True, max_length=BLOCK_ID_MAX_LENGTH)
    block_text = StrictCharField(allow_blank=True, trim_whitespace=False, max_length=TEXT_MAX_BYTES)
    proposed = StrictBooleanField()
    suspended = StrictBooleanField()
    suspended_as_leech = StrictBooleanField(default=False)
    stale = StrictBooleanField()
    orphan = StrictBooleanField()
    replaces = StrictUUIDField(default=None, allow_null=True)
    created_at = PastField()


class ExportedTermsSerializer(SettingsWriteSerializer):
    """The settings that are stored with a review."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: field for name, field in super().get_fields().items() if not name.endswith("_per_day")}


class ExportedBaselineSerializer(serializers.Serializer[Any]):
    stability = serializers.FloatField(min_value=0.001, max_value=MAXIMUM_INTERVAL)
    difficulty = serializers.FloatField(min_value=1, max_value=10)
    due_at = serializers.DateTimeField()
    reps = StrictIntegerField(min_value=0, max_value=1_000_000)
    lapses = StrictIntegerField(min_value=0, max_value=1_000_000)
    reviewed_at = PastField()

    def validate_due_at(self, value: datetime) -> datetime:
        if not _EARLIEST <= value <= timezone.now() + timedelta(days=MAXIMUM_INTERVAL):
            raise serializers.ValidationError("This time is too far away.", code="out_of_range")
        return value


class MadeForSerializer(serializers.Serializer[Any]):
    card_id = StrictUUIDField()


class ExportedEventSerializer(serializers.Serializer[Any]):
    event_id = StrictUUIDField()
    card_id = StrictUUIDField()
    face = StrictIntegerField(min_value=1, max_value=500)
    kind = serializers.ChoiceField(choices=StudyEvent.Kind.choices)
    rating = serializers.ChoiceField(choices=StudyEvent.Rating.choices, allow_blank=True)
    reviewed_at = PastField()
    received_at = PastField()
    duration_ms = StrictIntegerField(allow_null=True, min_value=0, max_value=DURATION_MAX_MS)
    settings = ExportedTermsSerializer()
    undoes = StrictUUIDField(allow_null=True)
    data = serializers.DictField(allow_null=True)  # type: ignore[assignment]  # the class keeps its property
    predicted = RetentionField(default=None, allow_null=True, min_value=0, max_value=1)

    def validate(self, row: Row) -> Row:
        """Check that an entry has exactly the fields of its kind."""
        kind = row["kind"]
        if (row["rating"] != "") != (kind == StudyEvent.Kind.REVIEW):
            raise serializers.ValidationError({"rating": ["A review has one, and nothing else."]})
        if (row["undoes"] is not None) != (kind == StudyEvent.Kind.UNDO):
            raise serializers.ValidationError({"undoes": ["An undo has it, and nothing else."]})
        of_data = {
            StudyEvent.Kind.BASELINE: ExportedBaselineSerializer,
            StudyEvent.Kind.REVIEW: MadeForSerializer if row["data"] is not None else None,
        }.get(kind)
        data = None
        if of_data is not None:
            checked = of_data(data=row["data"])
            checked.is_valid(raise_exception=True)
            data = orjson.loads(orjson.dumps(checked.validated_data))
        return {**row, "data": data, "settings": dict(row["settings"])}


class ExportedExamSerializer(StrictSerializer):
    id = StrictUUIDField()
    title = TitleField()
    at = serializers.DateTimeField()
    time_zone = TimeZoneField()
    note_ids = BoundedListField(child=StrictIntegerField(min_value=1, max_value=2**63 - 1), max_length=NOTES_MAX)
    tags = TagsField()
    minutes_per_day = BoundedListField(
        child=StrictIntegerField(min_value=0, max_value=24 * 60), min_length=7, max_length=7
    )
    target = TargetField(min_value=TARGET_MIN, max_value=TARGET_MAX)
    created_at = PastField()
    updated_at = PastField()

    def validate_at(self, value: datetime) -> datetime:
        if not _EARLIEST <= value <= timezone.now() + timedelta(days=DAYS_AHEAD_MAX + 1):
            raise serializers.ValidationError("This time is too far away.", code="out_of_range")
        return value


def _import_settings(context: ImportContext, file: SourceFile) -> FileReport:
    """Import the settings, unless the account has its own."""
    rows, report = _read(file, SettingsWriteSerializer)
    now = get_settings(user_id=context.user_id)
    if not rows or all(getattr(now, name) == value for name, value in rows[0].items()):
        return report
    if now.version > 1:
        return FileReport("skipped", warnings=["This account has settings of its own."])
    update_settings(user_id=context.user_id, changes=rows[0])
    report.outcome = "updated"
    return report


def _import_cards(context: ImportContext, file: SourceFile) -> FileReport:
    rows, report = _read(file, ExportedCardSerializer)
    untied, gone = _place(context, rows)
    pictures = _move_pictures(context, rows)
    for row in rows:
        for side in ("front", "back"):
            row[side] = _ATTACHMENT.sub(lambda it: context.moved_attachments.get(it[0], it[0]), row[side])
    texts = [] if context.dry_run else [row[side] for row in rows for side in ("front", "back")]
    with pictures.stored(texts):
        made = import_cards(user_id=context.user_id, rows=rows)
        pictures.record()
    for lost, what in ((untied, "have lost their topic, which was not imported"), (gone, "have lost their passage")):
        if lost & made:
            report.warnings.append(f"{len(lost & made)} cards {what}.")
    if made:
        report.outcome = "created"
    return report


class _ExportedFiles:
    """The attachments in an account's export, by their exported ids."""

    def __init__(self, context: ImportContext) -> None:
        self._context = context

    def media(self, name: str, at_most: int) -> bytes | None:
        path = self._context.exported_attachments.get(name)
        try:
            return None if path is None else self._context.others[path].read(at_most)
        except UnreadableEntry:
            return None


def _move_pictures(context: ImportContext, rows: Iterable[Row]) -> IncomingPictures:
    """Set ``moved_attachments`` to the attachments that only cards use and that the user does not have."""
    pictures = IncomingPictures(context.user_id, _ExportedFiles(context))
    named = {found for row in rows for found in _ATTACHMENT.findall(f"{row['front']}\n{row['back']}")}
    unknown = named - context.moved_attachments.keys()
    mine = Attachment.objects.filter(user_id=context.user_id, pk__in=unknown).values_list("pk", flat=True)
    for attachment_id in sorted(unknown - {str(pk) for pk in mine}):
        moved = pictures.id_of(attachment_id)
        if moved is not None:
            context.moved_attachments[attachment_id] = str(moved)
            context.attached.add(context.exported_attachments[attachment_id])
    return pictures


def _import_events(context: ImportContext, file: SourceFile) -> FileReport:
    rows, report = _read(file, ExportedEventSerializer)
    if import_events(user_id=context.user_id, rows=rows):
        report.outcome = "created"
    return report


def _import_exams(context: ImportContext, file: SourceFile) -> FileReport:
    """Import exams, past ones included. A calendar link is not copied: it belongs to the original exam."""
    rows, report = _read(file, ExportedExamSerializer)
    kept, without_notes, empty = [], 0, 0
    for row in rows:
        notes = [context.notes[note_id] for note_id in row["note_ids"] if note_id in context.notes]
        without_notes += len(notes) < len(row["note_ids"])
        if notes or row["tags"]:
            kept.append({**row, "note_ids": list(dict.fromkeys(notes))})
        else:
            empty += 1
    made, without_room = import_exams(user_id=context.user_id, rows=kept)
    if without_notes:
        report.warnings.append(f"{without_notes} exams are about notes that were not imported.")
    if empty:
        report.warnings.append(f"{empty} exams are about nothing else and were left out.")
    if without_room:
        report.warnings.append(f"{without_room} exams were left out: the limit is {EXAMS_MAX}.")
    if made:
        report.outcome = "created"
    return report


def _leave_out(context: ImportContext, file: SourceFile) -> FileReport:
    return FileReport("skipped", warnings=[NOT_MOVED])


def _read(file: SourceFile, serializer: type[serializers.Serializer[Any]]) -> tuple[list[Row], FileReport]:
    """The valid rows, and a report that counts the others. Raises :class:`CannotImport`."""
    content = file.read(FILE_MAX_BYTES + 1)
    if len(content) > FILE_MAX_BYTES:
        raise CannotImport("The file is too large.")
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CannotImport("The file is not JSON.") from error
    if not isinstance(found, list):
        raise CannotImport("The file does not contain a list.")
    rows, wrong = [], 0
    for one in found:
        checked = serializer(data=one)
        if checked.is_valid():
            rows.append(dict(checked.validated_data))
        else:
            wrong += 1
    warnings = [f"{wrong} of {len(found)} entries are invalid and were left out."] if wrong else []
    return rows, FileReport("unchanged", warnings=warnings)


def _place(context: ImportContext, rows: Iterable[Row]) -> tuple[set[UUID], set[UUID]]:
    """Link cards to the imported topics and blocks; return the ids of the cards that lost their topic, and of those
    that lost only their passage.

    A passage counts as lost if its text differs from the text that the card was made from.
    """
    untied, gone = set(), set()
    for row in rows:
        topic_id = row["topic_id"] and context.topics.get(row["topic_id"])
        if row["topic_id"] != topic_id and topic_id is None:
            untied.add(row["id"])
        row["topic_id"] = topic_id
    ids = {row["topic_id"] for row in rows if row["block_id"]} - {None}
    blocks = {topic_id: _blocks(context.user_id, topic_id) for topic_id in ids}
    for row in rows:
        if row["block_id"]:
            found = blocks.get(row["topic_id"], {}).get(row["block_text"])
            if found is None and row["topic_id"] is not None and not row["orphan"]:
                gone.add(row["id"])
            row |= {"stale": False, "orphan": found is None, "block_id": found or row["block_id"]}
    return untied, gone


def _blocks(user_id: int, topic_id: int) -> dict[str, str]:
    """The ids of a topic's blocks by text; the first of equal blocks."""
    try:
        blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
    except Topic.DoesNotExist:
        return {}
    return {block.text: block.id for block in reversed(blocks)}


def register_files() -> None:
    register(Importer("study settings", (), _import_settings, paths=("study_settings.json",)))
    register(Importer("cards", (), _import_cards, paths=("study_cards.json",)))
    register(Importer("reviews", (), _import_events, paths=("study_reviews.json",)))
    register(Importer("exams", (), _import_exams, paths=("study_exams.json",)))
    register(Importer("answers", (), _leave_out, paths=("study_quizzes.json", "study_recalls.json")))
