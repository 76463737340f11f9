import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from dagrec_cli.training import interrupt
from dagrec_cli.training.interrupt import Brake, braking, heard, is_pressed, listening


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_pulls_the_brake_and_the_second_stops_at_once() -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    def train() -> None:
        with braking(lambda: told.append("stopping")) as brake:
            assert not brake.is_pulled
            press()
            assert brake.is_pulled
            press()
            told.append("goes on")

    with pytest.raises(KeyboardInterrupt):
        train()
    assert told == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_brake_that_nobody_looks_at_any_more_stops_at_the_end() -> None:
    told: list[str] = []

    def train() -> None:
        with braking(lambda: None):
            press()
            told.append("the last epoch ends")

    with pytest.raises(KeyboardInterrupt):
        train()
    assert told == ["the last epoch ends"]


class Swallows:
    def __del__(self) -> None:
        press()  # raised here, KeyboardInterrupt is dropped by Python


def swallow_in_a_finaliser() -> None:
    swallows = Swallows()
    del swallows


def swallow_in_a_weak_reference() -> None:
    target = Brake()
    reference = weakref.ref(target, lambda _: press())
    del target
    del reference


def swallow_in_a_broad_except() -> None:
    with suppress(BaseException):
        press()


@pytest.mark.parametrize(
    "swallow", [swallow_in_a_finaliser, swallow_in_a_weak_reference, swallow_in_a_broad_except]
)
def test_a_swallowed_ctrl_c_is_repeated_until_it_is_heard(
    swallow: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(interrupt, "AGAIN", 0.01)

    def work() -> None:
        swallow()
        time.sleep(5)

    with listening():
        with pytest.raises(KeyboardInterrupt):
            work()
        assert is_pressed()
        heard()
        assert not is_pressed()
        time.sleep(0.05)  # and now it is not repeated
    assert capsys.readouterr().err == ""


def test_listening_leaves_signals_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), listening():
        press()
    assert not is_pressed()
    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook
    assert after == before


def test_afterwards_ctrl_c_is_as_before() -> None:
    with braking(lambda: None):
        pass
    with pytest.raises(KeyboardInterrupt):
        press()


def test_another_thread_may_train() -> None:
    found: list[Brake] = []

    def work() -> None:
        with braking(lambda: None) as brake:
            found.append(brake)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not found[0].is_pulled


def test_a_process_told_to_ignore_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with listening(), braking(lambda: None) as brake:
            press()
        assert not brake.is_pulled
    finally:
        signal.signal(signal.SIGINT, before)
