"""A progress bar on the terminal's standard error, or nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from dagrec_cli.config.kinds import check

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

Wanted = Literal["auto", True, False]


@runtime_checkable
class Progress(Protocol):
    """Shows how far a long piece of work is."""

    def start(self, name: str, total: int | None) -> None:
        """Begin a new line: its name, and how many steps it takes if that is known."""

    def step(self, done: int, detail: str = "") -> None:
        """Say how many steps of the newest line are done."""

    def say(self, line: str) -> None:
        """Print a line on standard error."""


class Silent:
    """Shows nothing but what is said.

    Parameters
    ----------
    tell
        Where a line goes; standard error if it is left out.
    """

    def __init__(self, tell: Callable[[str], object] | None = None) -> None:
        self._tell = tell

    def start(self, name: str, total: int | None) -> None:
        """Do nothing."""

    def step(self, done: int, detail: str = "") -> None:
        """Do nothing."""

    def say(self, line: str) -> None:
        """Hand a line on."""
        if self._tell is None:
            sys.stderr.write(f"{line}\n")
        else:
            self._tell(line)


@contextmanager
def progress(wanted: object) -> Iterator[Progress]:
    """Open a progress display: ``True``, ``False``, or ``auto`` for a terminal only.

    Raises
    ------
    ConfigError
        If ``wanted`` is something else.
    """
    check("progress", wanted, Wanted)
    if not (sys.stderr.isatty() if wanted == "auto" else wanted):
        yield Silent()
        return
    bars = _Bars()
    with bars.display:
        try:
            yield bars
        finally:
            bars.end()


@contextmanager
def showing(what: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal what takes long inside, and how long so far; nothing of it stays.

    Yields
    ------
    Callable
        Says how much is done.
    """
    with progress("auto") as display:
        display.start(what, None)
        yield display.step


class _Bars:
    """One line after another; one whose end is not known goes when the next one comes."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.display = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            _done_column(),
            TextColumn("{task.fields[detail]}"),
            console=Console(stderr=True),
        )
        self._is_open = False

    def start(self, name: str, total: int | None) -> None:
        self.end()
        self._task = self.display.add_task(name, total=total, detail="")
        self._is_open = total is None

    def step(self, done: int, detail: str = "") -> None:
        self.display.update(self._task, completed=done, detail=detail)

    def say(self, line: str) -> None:
        self.display.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Take away a line whose end was not known."""
        if self._is_open:
            self.display.remove_task(self._task)
            self._is_open = False


def _done_column() -> "ProgressColumn":
    """Return a column: how much is done, and the time that is left, or has passed."""
    from datetime import timedelta

    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Figures(ProgressColumn):
        def render(self, task: Task) -> Text:
            done = f"{task.completed:,.0f}"
            if task.total is None:
                passed = timedelta(seconds=int(task.elapsed or 0))
                return Text(f"{done if task.completed else ''} {passed}".strip())
            left = (
                "" if task.time_remaining is None else timedelta(seconds=int(task.time_remaining))
            )
            return Text(f"{done}/{task.total:,.0f} {left}")

    return Figures()
