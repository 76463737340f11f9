"""Ctrl-C, from a command's first moment to its last.

While training, the first one lets the epoch end and the second one stops at once. Everywhere else
the first one stops at once, and is repeated until it was acted on: Python drops what is raised
inside ``__del__`` and weak references (the import system has some), and several packages turn it
into an ``ImportError`` of theirs.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

REPEATED_AFTER = 2.0  # seconds from a Ctrl-C to its repetition; what cleans up takes less
STOPPING = "Stopping after this epoch; Ctrl-C again stops at once."  # of a training


class StopRequest:
    """Whether training has been asked to stop.

    Attributes
    ----------
    is_made
        True once Ctrl-C was pressed.
    """

    is_made = False


_CTRL_C = StopRequest()  # made: nobody has acted on it; no lock, since a handler would wait for it


@contextmanager
def stop_on_request(tell: Callable[[], object]) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C inside into a request to stop; a second one interrupts as ever.

    Outside the main thread, where Python takes no signals, and in a process that was started to
    ignore Ctrl-C (``nohup dagrec … &``), nothing changes.

    Parameters
    ----------
    tell
        Called at the first Ctrl-C, to say what happens next.

    Raises
    ------
    KeyboardInterrupt
        At the end, if the request was made after whoever minds it had looked for the last time.
    """
    request = StopRequest()
    before = signal.getsignal(signal.SIGINT)
    if not _is_main() or before == signal.SIG_IGN:
        yield request
        return

    def take(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        request.is_made = True
        tell()

    signal.signal(signal.SIGINT, take)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, before)
    if request.is_made:
        raise KeyboardInterrupt


@contextmanager
def listening() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt inside, again and again until it was :func:`heard`.

    As in :func:`stop_on_request`, nothing changes where Ctrl-C is not for this thread or process.
    """
    before = signal.getsignal(signal.SIGINT)
    if not _is_main() or before == signal.SIG_IGN or sys.platform == "win32":
        yield
        return
    alarm_before = signal.signal(signal.SIGALRM, _raise_interrupt)
    hook_before = sys.unraisablehook

    def drop(problem: Any) -> None:
        if problem.exc_type is not KeyboardInterrupt:  # which comes again
            hook_before(problem)

    sys.unraisablehook = drop
    signal.signal(signal.SIGINT, _press)
    try:
        yield
    finally:
        heard()
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGALRM, alarm_before)
        sys.unraisablehook = hook_before


def is_pressed() -> bool:
    """Return whether Ctrl-C was pressed and nobody has acted on it."""
    return _CTRL_C.is_made


def heard() -> None:
    """Act on Ctrl-C: it is not repeated from now on."""
    _CTRL_C.is_made = False
    signal.setitimer(signal.ITIMER_REAL, 0)


def _press(number: int, frame: FrameType | None) -> None:
    _CTRL_C.is_made = True
    _raise_interrupt(number, frame)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    if _CTRL_C.is_made:
        signal.setitimer(signal.ITIMER_REAL, REPEATED_AFTER)
        raise KeyboardInterrupt


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
