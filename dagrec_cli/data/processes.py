"""Processes that work for this one, and end when it does."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, get_context, parent_process, resource_tracker

SPAWN = get_context("spawn")  # a fork would copy torch's thread pool in whatever state it is


def end_with_parent() -> None:
    """Watch from now on, in a process of :data:`SPAWN`, that its parent lives."""
    threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)


@contextmanager
def ctrl_c_held_back() -> Iterator[None]:
    """Hold Ctrl-C back until the end; processes that are started inside never take it.

    A terminal sends it to all, and one that is about to import torch would answer with a traceback.
    """
    resource_tracker.ensure_running()  # or it starts with the first process, and lets Ctrl-C in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def process_pool(
    n_processes: int, begin: Callable[..., object] | None = None, *shared: object
) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes are stopped at once by Ctrl-C or an error here.

    Parameters
    ----------
    n_processes
        Most of them at a time.
    begin, shared
        Called with these in each process before all else: what all calls share is handed over
        once. What fills the pipe of the calls would also hang the pool when a process dies, before
        Python 3.11.5 (its issue 94777).
    """
    with ProcessPoolExecutor(n_processes, SPAWN, partial(_obey, begin, *shared)) as pool:
        try:
            yield pool
        except BaseException:
            # Python's own thread finds them dead, and stumbles over what was cancelled meanwhile.
            before, threading.excepthook = threading.excepthook, _say_nothing
            for child in active_children():
                child.terminate()
            pool.shutdown()
            threading.excepthook = before
            raise


def _say_nothing(problem: threading.ExceptHookArgs) -> None:
    pass


def _obey(begin: Callable[..., object] | None, *shared: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent acts on it
    end_with_parent()
    if begin:
        begin(*shared)
