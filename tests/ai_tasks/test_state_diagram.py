"""The documented states are the code's."""

import re
from pathlib import Path

from django.conf import settings

from ai_tasks.ledger import TRANSITIONS
from ai_tasks.models import AITask


def test_the_diagram_in_the_docs_shows_the_transition_table():
    document = Path(settings.BASE_DIR, "docs/ai-tasks.md").read_text()

    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", document, flags=re.MULTILINE))
    ends = set(re.findall(r"^ +(\w+) --> \[\*\]", document, flags=re.MULTILINE))

    assert drawn == {(str(state), str(follower)) for state, after in TRANSITIONS.items() for follower in after}
    assert ends == {str(state) for state, after in TRANSITIONS.items() if not after} == set(map(str, AITask.TERMINAL))
    assert set(TRANSITIONS) == set(AITask.Status)
