"""``dagrec new KIND NAME``: a model, loss, sampler, reader or table of one's own, to begin with."""

import re
import sys
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from shlex import quote
from string import Template

from dagrec_cli.config.where import config_dir, user_path
from dagrec_cli.data.plain_files import kind_of
from dagrec_cli.errors import ConfigError, did_you_mean, short_path

TEMPLATES = Path(__file__).parents[1] / "guide/new"
SHARED = {  # a built-in YAML, and from which line on it has what all of a kind have
    "model": ("model/gru4rec.yaml", "mask:"),
    "reader": ("data/gxformat2.yaml", "on_cycle:"),
}
GROUP = {"reader": "data"}  # of a kind; else the kind itself
NO_TEXTS = ("null", "true", "false", "nan", "inf")  # on a command line
PART = re.compile(r"^=== (.*)\n", re.M)  # a line that names the file that follows
NEXT = {  # commands to go on with
    "model": "dagrec train -cd {folder} model={name}",
    "loss": "dagrec train -cd {folder} loss={name}",
    "sampler": "dagrec train -cd {folder} loss=bpr sampler={name}",
    "reader": "dagrec train -cd {folder} data={name} data.path={folder}/data/{name}.txt "
    "split=composition model=backoff",
    "table": "dagrec reproduce -cd {folder} table={name}",
}
NEW_HELP = """\
Usage: dagrec new model|loss|sampler|reader|table NAME [folder=FOLDER]

Write one of your own that works, with comments where your work goes: its code, its YAML, a test.
They go into the folder mine, or the one you name; nothing that is there is overwritten.

Examples
  dagrec new model mean             mine/mean.py, mine/model/mean.yaml, mine/test_mean.py
  dagrec new table first            rows of counting, GRU4Rec and every model in mine

What to do then is said at the end; dagrec guide own-code is the tour.
"""


def main() -> None:
    """Write the files, and say what to do next.

    Raises
    ------
    ConfigError
        If the kind or the name will not do, or one of the files is there.
    """
    words = [word for word in sys.argv[1:] if not word.startswith("folder=")]
    given = [word.removeprefix("folder=") for word in sys.argv[1:] if word.startswith("folder=")]
    folder = user_path(given[-1] if given else "mine")
    kinds = sorted(file.stem for file in TEMPLATES.glob("*.txt"))
    match words:
        case [] | ["-h" | "--help"]:
            sys.stdout.write(NEW_HELP)
        case [kind, name] if kind in kinds:
            _check_name(kind, name)
            files = filled(kind, name, folder)
            _write_new(files)
            text = "".join(f"Wrote {short_path(file)}\n" for file in files)
            commands = ["dagrec check {folder}", NEXT[kind]]
            typed = {"folder": quote(str(folder)), "name": name}
            text += "".join(f"Next: {command.format(**typed)}\n" for command in commands)
            sys.stdout.write(text)
        case [kind, *_] if kind not in kinds:
            hint = did_you_mean(kind, kinds)
            raise ConfigError(
                f"{kind!r} is nothing to begin; {hint}begin one of {', '.join(kinds)}."
            )
        case [kind, *names]:
            raise ConfigError(
                f"{len(names)} names for one {kind}; write dagrec new {kind} NAME [folder=FOLDER]."
            )


def _check_name(kind: str, name: str) -> None:
    """Raise ConfigError for a name that another one would hide."""
    is_word = iskeyword(name) or name in NO_TEXTS
    if is_word or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ConfigError(
            f"{name!r} is no name for a file of Python; use small letters, digits and _, and no "
            f"word of the language, such as my_{kind}."
        )
    group = GROUP.get(kind, kind)
    if (config_dir() / group / f"{name}.yaml").exists():
        raise ConfigError(
            f"there is a built-in {group}={name}; take another name, such as my_{name}."
        )
    if kind != "table" and find_spec(name) is not None:
        raise ConfigError(
            f"Python has a module {name!r} already, which would be imported instead; take another "
            f"name, such as my_{name}."
        )


def filled(kind: str, name: str, folder: Path) -> dict[Path, str]:
    """Return the text of each file of a kind, by where it goes."""
    models = sorted(file.stem for file in folder.glob("model/*.yaml"))
    rows = [f"  - {{name: {model}, overrides: [model={model}]}}" for model in models]
    file, start = SHARED.get(kind, ("", ""))
    built_in = (config_dir() / file).read_text(encoding="utf-8") if file else ""
    text = Template((TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8")).substitute(
        name=name,
        Name="".join(part.capitalize() for part in name.split("_")),
        shared=built_in[built_in.find(start) :],
        rows="\n".join(rows) or "  # - {name: mine, overrides: [model=NAME]}",
    )
    _, *parts = PART.split(text)
    return {folder / place: part for place, part in zip(parts[::2], parts[1::2], strict=True)}


def _write_new(files: dict[Path, str]) -> None:
    """Write all files, or none if one is there."""
    for file in files:
        if file.is_symlink() or kind_of(file) or file.exists():
            raise ConfigError(f"{file} is there already, and stays; take another name or folder.")
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
