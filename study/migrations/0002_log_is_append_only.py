"""The log of study is append-only: the database refuses to change an entry, whoever asks.

Entries go with their user only. (Nothing here forbids to delete: the deletion of an account must.)
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION study_event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Study event % is recorded and cannot change', OLD.event_id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER study_event_is_final BEFORE UPDATE ON study_studyevent
    FOR EACH ROW EXECUTE FUNCTION study_event_is_final();
"""
BACKWARD = """
DROP TRIGGER study_event_is_final ON study_studyevent;
DROP FUNCTION study_event_is_final();
"""


class Migration(migrations.Migration):
    dependencies = [("study", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
