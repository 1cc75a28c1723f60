"""White space around a topic's text or code is no change that an answer could propose."""

import pytest

from ai_tasks.models import Proposal
from tests.ai_tasks.proposals.helpers import TEXT, ask, finish, make_topic


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("A a.\n\nB b.\n", "A a.\n\nB b."),
        ("\n \n  A a.\r\n\r\nB b. \r\n\r\n", "A a.\r\n\r\nB b."),
        ("    x = 1\n\nB b.\n", "x = 1\n\nB b."),
    ],
)
def test_white_space_around_the_whole_text_is_no_change(alice, text, content):
    task = finish(ask(make_topic(alice, text), alice, "improve_explanation"), content)

    proposal = Proposal.objects.get()
    assert (proposal.status, proposal.hunks) == ("resolved", [])
    assert task.message == "Done. The answer is what your topic says already"


def test_white_space_around_code_is_no_change(alice):
    topic = make_topic(alice, TEXT, code="\nloop {}\n", code_language="rust")

    finish(ask(topic, alice, "generate_code", language="rust"), "", code="loop {}", code_language="rust")

    assert (Proposal.objects.get().status, Proposal.objects.get().hunks) == ("resolved", [])


def test_indentation_of_code_and_its_language_are_changes(alice):
    topic = make_topic(alice, TEXT, code="loop {}\n", code_language="rust")

    indented = ask(topic, alice, "generate_code", language="rust")
    finish(indented, "", code="  loop {}", code_language="rust")
    in_c = ask(topic, alice, "generate_code", language="c")
    finish(in_c, "", code="loop {}", code_language="c")

    assert {row.task_id: [hunk["after"] for hunk in row.hunks] for row in Proposal.objects.all()} == {
        indented.pk: ["  loop {}"],
        in_c.pk: ["loop {}"],
    }
