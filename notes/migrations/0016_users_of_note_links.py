import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ADD = """
ALTER TABLE notes_notelink ADD CONSTRAINT notes_notelink_user_id_fk
FOREIGN KEY (user_id) REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED NOT VALID
"""


class Migration(migrations.Migration):
    dependencies = [("notes", "0015_note_links")]

    operations = [
        migrations.RunSQL(
            ADD,
            "ALTER TABLE notes_notelink DROP CONSTRAINT notes_notelink_user_id_fk",
            state_operations=[
                migrations.AlterField(
                    "notelink",
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
