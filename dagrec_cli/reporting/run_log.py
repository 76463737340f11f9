"""``run.log``: what a run did, and when; epochs stand in ``metrics.csv``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from dagrec_cli.reporting.run_folder import LOG, RunFolder

LOGGER = logging.getLogger("dagrec")


@contextmanager
def logged(folder: RunFolder) -> Iterator[logging.Logger]:
    """Send the log to the run folder while inside; the file begins with the first line."""
    handler = logging.FileHandler(folder.path / LOG, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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
