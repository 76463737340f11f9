"""``dagrec check FOLDER``: what a folder of one's own promises, asked one by one."""

import sys
from collections import Counter
from collections.abc import Iterable
from shutil import get_terminal_size
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from dagrec_cli.config.where import user_path
from dagrec_cli.errors import ConfigError

if TYPE_CHECKING:
    from dagrec_cli.promises.folder import Finding

CHECK_HELP = """\
Usage: dagrec check FOLDER [group=option …]

Ask what is in a folder of your own, whose code is run for that, to keep what every model, loss,
sampler, reader, split, trainer, logger and table of dagrec promises: finite scores, gradients that
reach every weight, the same bytes again, …. Say what was seen of a broken promise, and what to do.
Exit code 1 if one is.

Examples
  dagrec check mine                 all that is in it
  dagrec check mine model=mean      one model alone

dagrec new model NAME writes a model that keeps them all; dagrec guide own-code says more.
"""
MOST_WIDTH = 100  # characters of a line


def main() -> None:
    """Ask, and say what comes of it.

    Raises
    ------
    ConfigError
        If no folder is named, or there is nothing to ask.
    """
    match sys.argv[1:]:
        case [] | ["-h" | "--help"]:
            sys.stdout.write(CHECK_HELP)
        case [folder, *options] if not folder.startswith("-") and "=" not in folder:
            from dagrec_cli.promises.folder import findings

            sys.exit(_say_all(findings(user_path(folder), options)))
        case [word, *_]:
            raise ConfigError(f"{word!r} is no folder; write dagrec check FOLDER [group=option …].")


def _say_all(asked: "Iterable[Finding]") -> int:
    """Print each finding as it comes, and return the exit code."""
    width = min(get_terminal_size().columns, MOST_WIDTH)
    number, option = Counter[str](), ""
    for finding in asked:
        if finding.option != option:
            option = finding.option
            sys.stdout.write(f"{option}\n")
        number[finding.outcome] += 1
        for label, text in finding.lines():
            wrapper = TextWrapper(width, initial_indent=label, subsequent_indent=" " * len(label))
            sys.stdout.write(f"{wrapper.fill(text)}\n")
        sys.stdout.flush()
    sys.stdout.write(", ".join(f"{n} {outcome}" for outcome, n in number.items()) + ".\n")
    return 1 if number["BROKEN"] else 0
