import os
import signal
import threading

import pytest

from dagrec_cli.training.interrupt import Brake, braking


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_pulls_the_brake_and_the_second_stops_at_once() -> None:
    told: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with braking(lambda: told.append("stopping")) as brake:
        assert not brake.is_pulled
        press()
        assert brake.is_pulled
        with pytest.raises(KeyboardInterrupt):
            press()
    assert told == ["stopping"]
    assert signal.getsignal(signal.SIGINT) is before


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
        with braking(lambda: None) as brake:
            press()
        assert not brake.is_pulled
    finally:
        signal.signal(signal.SIGINT, before)
