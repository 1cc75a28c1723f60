from django.db import migrations

ADD = """
ALTER TABLE ai_tasks_{table} ADD CONSTRAINT ai_tasks_{table}_{column}_fk
FOREIGN KEY ({column}) REFERENCES {target} (id) ON DELETE CASCADE NOT VALID
"""
DROP = "ALTER TABLE ai_tasks_{table} DROP CONSTRAINT ai_tasks_{table}_{column}_fk"


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0009_users_of_embeddings")]

    operations = [
        migrations.RunSQL(
            ADD.format(table=table, column="note_id", target="notes_note"), DROP.format(table=table, column="note_id")
        )
        for table in ("noteindexing",)
    ]
