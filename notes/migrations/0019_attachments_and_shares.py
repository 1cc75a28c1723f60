import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# The trigger marks a deleted row's file for deletion after COMMIT: see utils.storage.
MARK = """
CREATE TRIGGER attachment_files_to_delete AFTER DELETE ON notes_attachment
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION mark_files_to_delete()
"""


class Migration(migrations.Migration):
    dependencies = [
        ("notes", "0018_validate_note_links"),
        ("utils", "0003_files_to_delete"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Attachment",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=150)),
                (
                    "content_type",
                    models.CharField(
                        choices=[
                            ("image/png", "PNG"),
                            ("image/jpeg", "JPEG"),
                            ("image/gif", "GIF"),
                            ("image/webp", "WebP"),
                            ("application/pdf", "PDF"),
                        ],
                        max_length=30,
                    ),
                ),
                ("size", models.PositiveIntegerField()),
                ("file", models.CharField(db_index=True, max_length=100)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "unnamed_since",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), null=True),
                ),
                (
                    "checked_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True),
                ),
                (
                    "note",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attachments",
                        to="notes.note",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,  # added by 0021, so that two tables are not locked at once
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("note"),
                        models.OrderBy(models.F("created_at"), descending=True),
                        models.OrderBy(models.F("id"), descending=True),
                        name="attachment_note_created_idx",
                    )
                ],
            },
        ),
        migrations.RunSQL(MARK, "DROP TRIGGER attachment_files_to_delete ON notes_attachment"),
        migrations.CreateModel(
            name="Share",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("slug", models.CharField(max_length=32, unique=True)),
                ("password", models.CharField(blank=True, max_length=128)),
                ("expires_at", models.DateTimeField(null=True)),
                ("views", models.PositiveBigIntegerField(db_default=0, default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "note",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shares",
                        to="notes.note",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.F("note"),
                        models.OrderBy(models.F("created_at"), descending=True),
                        models.OrderBy(models.F("id"), descending=True),
                        name="share_note_created_idx",
                    )
                ],
            },
        ),
    ]
