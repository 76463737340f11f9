"""Processes that work for this one, and end when it does."""

import signal
import threading
import time

import pytest

from dagrec_cli.data.processes import process_pool

LONG = 60.0


def raise_while_they_work(error: type[BaseException]) -> None:
    with process_pool(2) as pool:
        running = [pool.submit(time.sleep, LONG) for _ in range(5)]
        while not any(each.running() for each in running):
            time.sleep(0.01)
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_goes_wrong_here_stops_the_processes(error: type[BaseException]) -> None:
    start = time.monotonic()
    with pytest.raises(error):
        raise_while_they_work(error)
    assert time.monotonic() - start < LONG / 2


def test_what_was_cancelled_when_the_processes_are_stopped_is_not_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work() -> None:
        with process_pool(2) as pool:
            futures = [pool.submit(time.sleep, LONG) for _ in range(50)]
            while not any(each.running() for each in futures):
                time.sleep(0.01)
            for future in futures:  # as map() does when it is left
                future.cancel()
            raise KeyboardInterrupt

    before = threading.excepthook
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            work()
    assert capsys.readouterr().err == ""
    assert threading.excepthook is before


def test_ctrl_c_is_left_to_the_parent() -> None:
    with process_pool(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN
