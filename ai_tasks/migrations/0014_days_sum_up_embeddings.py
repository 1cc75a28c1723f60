"""The site's day has what embeddings cost, too, kept by the database as for tasks."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ai_embeddings_change_their_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change numeric := NEW.cost;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.day = NEW.day THEN
        change := change - OLD.cost;
    END IF;
    IF change <> 0 THEN
        INSERT INTO ai_tasks_spendingday AS kept (day, amount) VALUES (NEW.day, change)
        ON CONFLICT (day) DO UPDATE SET amount = kept.amount + change;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ai_embeddings_change_their_day AFTER INSERT OR UPDATE OF day, cost ON ai_tasks_embeddinguse
    FOR EACH ROW EXECUTE FUNCTION ai_embeddings_change_their_day();
"""
BACKWARD = """
DROP TRIGGER ai_embeddings_change_their_day ON ai_tasks_embeddinguse;
DROP FUNCTION ai_embeddings_change_their_day();
"""


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0013_vectors_are_a_field")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
