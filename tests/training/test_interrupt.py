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
from dagrec_cli.training.interrupt import StopRequest, heard, is_pressed, listening, stop_on_request


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_makes_a_request_and_the_second_stops_at_once() -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT)

    def train() -> None:
        with stop_on_request(lambda: told.append("stopping")) as request:
            assert not request.is_made
            press()
            assert request.is_made
            press()
            told.append("goes on")

    with pytest.raises(KeyboardInterrupt):
        train()
    assert told == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_request_that_nobody_looks_at_any_more_stops_at_the_end() -> None:
    told: list[str] = []

    def train() -> None:
        with stop_on_request(lambda: None):
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
    target = StopRequest()
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
    monkeypatch.setattr(interrupt, "REPEATED_AFTER", 0.01)

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
    with stop_on_request(lambda: None):
        pass
    with pytest.raises(KeyboardInterrupt):
        press()


def test_another_thread_may_train() -> None:
    requests: list[StopRequest] = []

    def work() -> None:
        with stop_on_request(lambda: None) as request:
            requests.append(request)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not requests[0].is_made


def test_a_process_told_to_ignore_ctrl_c_goes_on_ignoring_it() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with listening(), stop_on_request(lambda: None) as request:
            press()
        assert not request.is_made
    finally:
        signal.signal(signal.SIGINT, before)
