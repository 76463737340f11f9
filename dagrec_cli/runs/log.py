"""``run.log``: what a run did, and when; epochs stand in ``metrics.csv``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from io import TextIOWrapper
from pathlib import Path

from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.errors import visible
from dagrec_cli.runs.folder import LOG, RunFolder

LOGGER = logging.getLogger("dagrec")


@contextmanager
def logged(folder: RunFolder) -> Iterator[logging.Logger]:
    """Send the log to the run folder while inside; the file begins with the first line.

    Raises
    ------
    RunError
        If the file is there and is a link, or has a second name: a line may hold what others chose.
    """
    file = folder.path / LOG
    if file.is_symlink() or file.exists():  # said now; later logging would print a traceback
        open_plain(file, "ab").close()
    handler = _LogFile(file, delay=True)
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    level, propagate = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # the terminal shows progress and the table instead
    LOGGER.addHandler(handler)
    try:
        yield LOGGER
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = propagate
        handler.close()


class _LogFile(logging.FileHandler):
    """Appends to a plain file, and to nothing else."""

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(open_plain(Path(self.baseFilename), "ab"), encoding="utf-8")


class _OneLine(logging.Formatter):
    """Writes a record as one line, and the lines of a traceback indented below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, without a character that would act or begin another one."""
        bare = copy(record)
        bare.exc_info = bare.exc_text = None
        trace = self.formatException(record.exc_info).splitlines() if record.exc_info else []
        return "\n".join(map(visible, [super().format(bare), *(f"    {line}" for line in trace)]))
