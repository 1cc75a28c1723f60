import django.db.models.deletion
from django.db import migrations, models

ADD = """
ALTER TABLE notes_notelink ADD CONSTRAINT notes_notelink_meant_id_fk
FOREIGN KEY (meant_id) REFERENCES notes_note (id) DEFERRABLE INITIALLY DEFERRED NOT VALID
"""


class Migration(migrations.Migration):
    dependencies = [("notes", "0016_users_of_note_links")]

    operations = [
        migrations.RunSQL(
            ADD,
            "ALTER TABLE notes_notelink DROP CONSTRAINT notes_notelink_meant_id_fk",
            state_operations=[
                migrations.AlterField(
                    "notelink",
                    "meant",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="backlinks",
                        to="notes.note",
                    ),
                ),
            ],
        ),
    ]
