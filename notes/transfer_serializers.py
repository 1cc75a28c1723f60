"""Serializers of imports and exports, and of the requests that start them."""

import unicodedata
from collections import Counter
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from notes import importers
from notes.transfers import FILE_NAME_MAX_LENGTH, ImportedFile, JobStatus, NoteExport, NoteImport
from utils.http.serializers import StrictIntegerField, StrictSerializer

ARCHIVES = (".zip", ".jex")


class ImportSerializer(StrictSerializer):
    """A file to import."""

    file = serializers.FileField(max_length=FILE_NAME_MAX_LENGTH, allow_empty_file=True)
    dry_run = serializers.BooleanField(default=False)

    def validate_file(self, file: Any) -> Any:
        file.name = unicodedata.normalize("NFC", file.name).replace("\0", "")
        if not file.name.lower().endswith(ARCHIVES) and importers.importer_for(file.name) is None:
            kinds = ", ".join(sorted([*ARCHIVES, *importers.extensions()]))
            raise serializers.ValidationError(
                f"Files of this kind cannot be imported. Supported are: {kinds}.", code="unknown_kind"
            )
        return file


class JobErrorSerializer(serializers.Serializer):
    code = serializers.CharField()
    detail = serializers.CharField()


class ImportedFileSerializer(serializers.Serializer):
    """The outcome of one file."""

    name = serializers.CharField()
    outcome = serializers.ChoiceField(choices=ImportedFile.Outcome.choices)
    note_id = serializers.IntegerField(required=False)
    warnings = serializers.ListField(child=serializers.CharField())


class ImportReportSerializer(serializers.Serializer):
    """The number of files by outcome, and the outcome of each file."""

    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    conflict = serializers.IntegerField()
    skipped = serializers.IntegerField()
    failed = serializers.IntegerField()
    files = ImportedFileSerializer(many=True)


class JobSerializer(serializers.ModelSerializer):
    """The fields that all jobs show."""

    error = serializers.SerializerMethodField()

    @extend_schema_field(JobErrorSerializer(allow_null=True))
    def get_error(self, job: Any) -> dict[str, str] | None:
        return {"code": job.error_code, "detail": job.error_detail} if job.error_code else None


class NoteImportSerializer(JobSerializer):
    """An import. `progress` is a percentage."""

    progress = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField()

    class Meta:
        model = NoteImport
        fields = ["id", "name", "dry_run", "status", "progress", "error", "report", "created_at", "finished_at"]
        read_only_fields = fields

    def get_progress(self, job: NoteImport) -> int:
        if job.status == JobStatus.SUCCEEDED:
            return 100
        return 100 * len(job.files.all()) // job.total if job.total else 0

    @extend_schema_field(ImportReportSerializer)
    def get_report(self, job: NoteImport) -> dict[str, Any]:
        files = job.files.all()
        counts = Counter(file.outcome for file in files)
        return {
            **{outcome: counts[outcome] for outcome in ImportedFile.Outcome.values},
            "files": [
                {
                    "name": file.name,
                    "outcome": file.outcome,
                    **({"note_id": file.note_id} if file.note_id else {}),
                    "warnings": file.warnings,
                }
                for file in files
            ],
        }


class NoteExportCreateSerializer(StrictSerializer):
    """The note to export."""

    note_id = StrictIntegerField()
    format = serializers.ChoiceField(choices=NoteExport.Format.choices)


class NoteExportSerializer(JobSerializer):
    """An export. `progress` is a percentage; `warnings` name the characters that no font has."""

    note_id = serializers.IntegerField()
    progress = serializers.SerializerMethodField()
    url = serializers.SerializerMethodField()

    class Meta:
        model = NoteExport
        fields = [
            "id",
            "note_id",
            "format",
            "status",
            "progress",
            "url",
            "warnings",
            "error",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields

    def get_progress(self, job: NoteExport) -> int:
        return {JobStatus.QUEUED: 0, JobStatus.RUNNING: 50}.get(JobStatus(job.status), 100)

    @extend_schema_field({"type": ["string", "null"]})
    def get_url(self, job: NoteExport) -> str | None:
        return f"/api/notes/exports/{job.pk}/file/" if job.status == JobStatus.SUCCEEDED else None
