from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "0002_notes_of_a_status")]

    operations = [migrations.AddField("note", "size_bytes", models.BigIntegerField(editable=False, null=True))]
