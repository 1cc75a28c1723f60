from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notes", "0024_index_trash")]
    operations = [migrations.AddField("note", "words_due_at", models.DateTimeField(editable=False, null=True))]
