"""The errors a user can cause, each one line: what was found, where, what is allowed, what to do.

Anything else that is raised is a defect of the program and shows its traceback.
"""

from collections.abc import Iterable
from pathlib import Path

SEEN = "\u00a0\u3000\u200c\u200d"  # spaces and joiners that names in some scripts have


class DagrecError(Exception):
    """A mistake that the user can fix; printed as one line, exit code 2."""


class ConfigError(DagrecError):
    """A setting has a value that is not allowed, or two settings do not go together."""


class DataError(DagrecError):
    """The data cannot be read, or breaks a rule of compositions."""


class RunError(DagrecError):
    """A run folder cannot be written, read, or does not fit what is asked of it."""


class InUseError(RunError):
    """Another process works in the run folder; nothing in it may be touched."""


class ForeignError(InUseError):
    """The folder holds what a command did not make; nothing in it may be touched."""


class TrainingError(Exception):
    """Training came to a loss or a score that is no number; exit code 1, good weights are kept."""


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a question with the known name that is nearest to a wrong one; empty if none is near.

    Small and capital letters are alike.

    >>> did_you_mean("hiden", ["hidden", "epochs"], "model.")
    'did you mean model.hidden? '
    >>> did_you_mean("adamW", ["adam", "adamw"])
    'did you mean adamw? '
    """
    from difflib import get_close_matches

    lowered = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), lowered, n=1)
    return f"did you mean {prefix}{lowered[near[0]]}? " if near else ""


def install(extra: str) -> str:
    """Return the command that installs an extra, in a clone or beside an installed package."""
    if (Path(__file__).parents[1] / "constraints.txt").is_file():
        return f"pip install -c constraints.txt -e '.[{extra}]'"
    return f"pip install 'dagrec[{extra}]'"


def one_line(text: str, most: int = 400) -> str:
    """Return a text as one line that a terminal can show, cut in its middle if it is long."""
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    return visible(text)


def visible(text: str) -> str:
    r"""Return a text without characters that act instead of being seen, which are spelled instead.

    Those are the control characters (a terminal obeys them, a line ends there) and what turns the
    direction of writing, so that a text reads as another one.

    >>> visible("red \x1b[31m")
    'red \\x1b[31m'
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    is_seen = character.isprintable() or character in SEEN
    return character if is_seen else ascii(character)[1:-1]
