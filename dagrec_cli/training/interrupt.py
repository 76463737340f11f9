"""Ctrl-C while training: the first one lets the epoch end, the second one stops at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Brake:
    """Whether training has been asked to stop.

    Attributes
    ----------
    is_pulled
        True once Ctrl-C was pressed.
    """

    is_pulled = False


@contextmanager
def braking(tell: Callable[[], object]) -> Iterator[Brake]:
    """Turn the first Ctrl-C inside into a pulled brake; a second one interrupts as ever.

    Outside the main thread, where Python takes no signals, and in a process that was started to
    ignore Ctrl-C (``nohup dagrec … &``), nothing changes.

    Parameters
    ----------
    tell
        Called at the first Ctrl-C, to say what happens next.
    """
    brake = Brake()
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before == signal.SIG_IGN:
        yield brake
        return

    def pull(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        brake.is_pulled = True
        tell()

    signal.signal(signal.SIGINT, pull)
    try:
        yield brake
    finally:
        signal.signal(signal.SIGINT, before)
