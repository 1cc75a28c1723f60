import django.db.models.functions.datetime
from django.db import migrations, models

MARK = """
CREATE FUNCTION mark_files_to_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO utils_filetodelete (name) SELECT file FROM gone;
  RETURN NULL;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("utils", "0002_pending_epoch_bump"),
    ]

    operations = [
        migrations.CreateModel(
            name="FileToDelete",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RunSQL(MARK, "DROP FUNCTION mark_files_to_delete()"),
    ]
