"""Answers whose time tells nothing."""

import pytest

from accounts.services import constant_time_response


class Clock:
    """A clock that only work and sleep move."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds
        self.slept.append(seconds)


@pytest.mark.parametrize(("work", "waited"), [(0.001, 0.05), (0.02, 0.05), (0.049, 0.05), (0.051, 0.1)])
def test_an_answer_takes_a_whole_number_of_steps(monkeypatch, work, waited):
    clock = Clock()
    monkeypatch.setattr(constant_time_response, "time", clock)
    started = clock.monotonic()
    clock.now += work

    constant_time_response.pad_response_time(started)

    assert clock.now == pytest.approx(started + waited)
