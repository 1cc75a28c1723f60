"""The last line of defence behind the ledger: the database refuses to move a task out of a terminal state."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION ai_task_terminal_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'AI task % is % and cannot become %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ai_task_terminal_is_final BEFORE UPDATE OF status ON ai_tasks_aitask
    FOR EACH ROW
    WHEN (OLD.status IN ('succeeded', 'failed', 'cancelled') AND NEW.status IS DISTINCT FROM OLD.status)
    EXECUTE FUNCTION ai_task_terminal_is_final();
"""
BACKWARD = """
DROP TRIGGER ai_task_terminal_is_final ON ai_tasks_aitask;
DROP FUNCTION ai_task_terminal_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("ai_tasks", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
