from django.db import migrations

ADD = """
ALTER TABLE ai_tasks_{table} ADD CONSTRAINT ai_tasks_{table}_{column}_fk
FOREIGN KEY ({column}) REFERENCES {target} (id) ON DELETE CASCADE NOT VALID
"""
DROP = "ALTER TABLE ai_tasks_{table} DROP CONSTRAINT ai_tasks_{table}_{column}_fk"


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0010_notes_of_embeddings")]

    operations = [
        migrations.RunSQL(
            ADD.format(table=table, column="topic_id", target="notes_topic"),
            DROP.format(table=table, column="topic_id"),
        )
        for table in ("passagevector",)
    ]
