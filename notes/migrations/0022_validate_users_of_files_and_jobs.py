from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("notes", "0021_users_of_files_and_jobs")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE notes_{table} VALIDATE CONSTRAINT notes_{table}_user_id_fk", migrations.RunSQL.noop
        )
        for table in ("attachment", "noteimport", "notesource", "noteexport")
    ]
