from django.db import migrations

KEYS = (
    ("passagevector", "user_id"),
    ("passagevector", "topic_id"),
    ("noteindexing", "note_id"),
    ("embeddinguse", "user_id"),
)


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0011_topics_of_embeddings")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE ai_tasks_{table} VALIDATE CONSTRAINT ai_tasks_{table}_{column}_fk", migrations.RunSQL.noop
        )
        for table, column in KEYS
    ]
