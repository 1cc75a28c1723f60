from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0001_initial")]

    operations = [
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                condition=models.Q(
                    models.Q(("password__startswith", "argon2$argon2id$v=19$m=19456,t=2,p=1$"), _negated=True),
                    models.Q(("password__startswith", "!"), _negated=True),
                ),
                fields=["id"],
                name="user_outdated_hash_idx",
            ),
        ),
    ]
