"""Texts at their longest, made of one long run: what reads them holds the interpreter, and so all calls of a worker."""

import multiprocessing
from collections.abc import Callable

import pytest

from ai_tasks.handlers.generate_code import code_blocks
from ai_tasks.providers.base import MAX_ANSWER_BYTES
from ai_tasks.providers.offline.edit import edited
from ai_tasks.providers.offline.extract import summary_of

KILLED_AFTER_SECONDS = 30
"""None of these takes a tenth of it; what reads a run again from each of its characters takes minutes."""

RUN = MAX_ANSWER_BYTES - 10


def is_done_in_time(read: Callable[[], object]) -> bool:
    """Whether a child process, which can be killed, comes to the end of it."""
    child = multiprocessing.get_context("fork").Process(target=read)
    child.start()
    child.join(KILLED_AFTER_SECONDS)
    child.kill()
    child.join()
    return child.exitcode == 0


@pytest.mark.parametrize("run", [" ", "\t", "\u00a0", "\r", "`", "~", "$", "-", "*", "[", "<", ".", '"', "_"])
@pytest.mark.parametrize("end", ["x", "`", "\r"])
def test_a_long_run_of_one_character_holds_no_worker_up(run, end):
    text = "a" + run * (RUN // len(run.encode())) + end

    assert is_done_in_time(lambda: (edited(text), summary_of(text, share=0.5, at_most=20)))


@pytest.mark.parametrize(("fence", "run"), [("```", " "), ("~~~", " "), ("```", "\t"), ("```", "`"), ("~~~", "~")])
def test_a_long_fence_in_a_models_answer_holds_no_worker_up(fence, run):
    text = fence + run * RUN + "`"

    assert is_done_in_time(lambda: code_blocks(text))
