import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ADD = """
ALTER TABLE notes_{table} ADD CONSTRAINT notes_{table}_user_id_fk
FOREIGN KEY (user_id) REFERENCES accounts_user (id) DEFERRABLE INITIALLY DEFERRED NOT VALID
"""
DROP = "ALTER TABLE notes_{table} DROP CONSTRAINT notes_{table}_user_id_fk"
IS_INDEXED = {"attachment": True, "noteimport": False, "notesource": False, "noteexport": False}


class Migration(migrations.Migration):
    dependencies = [("notes", "0020_imports_and_exports")]

    operations = [
        migrations.RunSQL(
            ADD.format(table=table),
            DROP.format(table=table),
            state_operations=[
                migrations.AlterField(
                    table,
                    "user",
                    models.ForeignKey(
                        db_index=is_indexed,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        )
        for table, is_indexed in IS_INDEXED.items()
    ]
