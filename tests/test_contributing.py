"""The worked examples of CONTRIBUTING.md fit the code as it is. ``make contributing-check`` also runs them."""

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from tests.contributing.document import Change, Commit, Outdated, Run, Write, read_steps

BASE = Path(settings.BASE_DIR)
EXAMPLE = "## Worked example: one\n\n### 1. Make it\n\n"


def test_every_change_that_is_shown_fits_its_file(tmp_path):
    steps = [step for step in read_steps((BASE / "CONTRIBUTING.md").read_text()) if isinstance(step, (Change, Write))]
    for path in {step.path for step in steps}:
        if (BASE / path).exists():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(BASE / path, tmp_path / path)

    for step in steps:
        step.apply(tmp_path)

    assert {type(step) for step in steps} == {Change, Write}


def test_steps_are_read_in_their_order():
    text = "## Before\n\n```sh\nfalse\n```\n\n" + EXAMPLE + (
        "`a.py`, new:\n\n```python\nx = 1\n```\n\n```diff\n+++ a.py\n@@\n-x = 1\n+x = 2\n```\n\n"
        "```sh\nmake check\nmake test\n```\n"
    )  # fmt: skip

    assert read_steps(text) == [
        Commit(9, "Make it"),
        Write(13, "a.py", "x = 1\n", is_new=True),
        Change(17, "a.py", (("x = 1\n", "x = 2\n"),)),
        Run(25, "make check"),
        Run(26, "make test"),
    ]


def test_a_block_that_does_not_say_what_it_is_is_refused():
    with pytest.raises(Outdated, match="line 5: say what to do with this block"):
        read_steps(EXAMPLE + "```python\nx = 1\n```\n")


@pytest.mark.parametrize(("text", "times"), [("y = 1\n", 0), ("x = 1\nx = 1\n", 2), ("  x = 1\n", 0)])
def test_a_change_that_does_not_fit_says_so(tmp_path, text, times):
    (tmp_path / "a.py").write_text(text)

    with pytest.raises(Outdated, match=f"line 7: .* contains the old lines of this diff {times} times, not once"):
        Change(7, "a.py", (("x = 1\n", "x = 2\n"),)).apply(tmp_path)


def test_a_file_is_made_once_and_added_to_only_where_it_is(tmp_path):
    Write(1, "a/b.py", "x = 1\n", is_new=True).apply(tmp_path)
    Write(1, "a/b.py", "y = 1\n", is_new=False).apply(tmp_path)

    assert (tmp_path / "a/b.py").read_text() == "x = 1\n\n\ny = 1\n"
    with pytest.raises(Outdated, match="already exists"):
        Write(1, "a/b.py", "", is_new=True).apply(tmp_path)
    with pytest.raises(Outdated, match="no longer exists"):
        Write(1, "a/c.py", "", is_new=False).apply(tmp_path)
