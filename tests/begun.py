"""Commands in processes of their own that are stopped in the midst of their work."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def begun(folder: Path, words: Sequence[str], sign: str, times: int = 1) -> subprocess.Popen[str]:
    """Start ``dagrec`` at the head of a process group; return once it has left signs of its work.

    Parameters
    ----------
    folder
        Where it is started.
    words
        Its command line.
    sign
        Glob of what it leaves, below the folder.
    times
        How many of them.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "dagrec_cli", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(folder.glob(sign))) < times:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return process
