"""A topic and a proposal for it, made by a task that no worker takes."""

import pytest

from accounts.models import User
from ai_tasks.models import Proposal
from notes.models import Topic
from tests.ai_tasks.proposals.helpers import NEW, TEXT, make_topic, propose


@pytest.fixture
def topic(alice: User) -> Topic:
    return make_topic(alice, TEXT)


@pytest.fixture
def proposal(alice: User, topic: Topic) -> Proposal:
    made = propose(topic, alice, NEW)
    assert [hunk["op"] for hunk in made.hunks] == ["insert", "replace", "insert", "delete"]
    return made
