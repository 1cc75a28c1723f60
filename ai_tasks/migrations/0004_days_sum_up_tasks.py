"""The site's day is the sum of its tasks, kept by the database: no statement that changes a task can forget it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ai_task_changes_its_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    change numeric := COALESCE(NEW.cost, 0) + NEW.reserved;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        change := change - COALESCE(OLD.cost, 0) - OLD.reserved;
    END IF;
    IF change <> 0 THEN
        INSERT INTO ai_tasks_spendingday AS kept (day, amount)
        VALUES ((NEW.created_at AT TIME ZONE 'UTC')::date, change)
        ON CONFLICT (day) DO UPDATE SET amount = kept.amount + change;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ai_task_changes_its_day AFTER INSERT OR UPDATE OF cost, reserved ON ai_tasks_aitask
    FOR EACH ROW EXECUTE FUNCTION ai_task_changes_its_day();
"""
BACKWARD = """
DROP TRIGGER ai_task_changes_its_day ON ai_tasks_aitask;
DROP FUNCTION ai_task_changes_its_day();
"""


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0003_money_and_outages")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
