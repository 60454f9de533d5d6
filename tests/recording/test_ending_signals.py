from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pytest_ortperf.recording.ending_signals import EndingSignals


@pytest.fixture
def usual() -> Iterator[None]:
    """Give the signals their usual handlers, whoever started the tests."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def signals(usual: None) -> Iterator[EndingSignals]:  # noqa: ARG001 - before it
    found = EndingSignals()
    found.install()
    yield found
    found.restore()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, "interrupted by SIGTERM"),
        (signal.SIGHUP, "interrupted by SIGHUP"),
        (signal.SIGINT, "interrupted by Ctrl-C"),
    ],
)
def test_a_signal_is_an_interrupt_with_its_name(signals: EndingSignals, number: signal.Signals, reason: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert signals.reason == reason


def test_a_signal_waits_until_a_record_is_written(signals: EndingSignals) -> None:
    written = []

    def write() -> None:
        with signals.waiting():
            os.kill(os.getpid(), signal.SIGTERM)
            written.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert written == ["all of it"]
    assert signals.reason == "interrupted by SIGTERM"


def test_a_second_signal_does_not_cut_off_the_writing(signals: EndingSignals) -> None:
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.reason == "interrupted by SIGHUP"


@pytest.mark.usefixtures("usual")
def test_what_is_ignored_stays_so_and_all_is_given_back() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = EndingSignals()
    signals.install()
    os.kill(os.getpid(), signal.SIGHUP)
    signals.restore()
    assert signals.reason is None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
