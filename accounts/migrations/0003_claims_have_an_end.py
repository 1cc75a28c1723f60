from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_outdated_hashes")]

    operations = [migrations.RenameField("passwordreset", "claimed_at", "claimed_until")]
