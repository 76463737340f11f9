"""A run that was stopped, taken up again from its folder with the settings it began with."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import Effect, effect, settings
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.config.untrusted import checked_config, leads_out, trusted_packages
from dagrec_cli.config.where import code_sha256, config_flag, short_path
from dagrec_cli.config.words import as_typed
from dagrec_cli.errors import RunError
from dagrec_cli.runs.folder import CONFIG, REQUEST, RunFolder
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import read_json
from dagrec_cli.runs.run import Run

FORMAT = 1
QUOTES = "'\""
EPOCHS = "trainer.epochs"
TRUST = "trust="
KEEP = "keep_checkpoints=true"
TOLD = {Effect.FIGURES}  # what result.json would say otherwise
FREE = {Effect.NOTHING, Effect.PLACE}  # the content of the data is checked


class Beginning(msgspec.Struct):
    """``request.json``: what a run was asked for, and on which data it began."""

    format: int
    choices: dict[str, str]
    overrides: list[str]
    data_sha256: str
    sweep: str | None = None
    code_sha256: str = ""


def write_beginning(folder: RunFolder, request: Request, data_sha256: str) -> None:
    """Write ``request.json``."""
    asked = request._asdict()
    content = Beginning(format=FORMAT, data_sha256=data_sha256, **asked)
    folder.write_json(REQUEST, msgspec.to_builtins(content))


def read_beginning(path: Path) -> Beginning:
    """Return the ``request.json`` of a folder.

    Raises
    ------
    RunError
        If the folder or the file is missing, damaged, or of another format.
    """
    file = path / REQUEST
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; name the run folder to continue.")
    try:
        found = read_json(file, Beginning)
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: no {REQUEST}; it is no folder of dagrec train, or was stopped before "
            "training began."
        ) from error
    except OSError as error:
        raise RunError(f"{file}: {error.strerror or error}; make it readable.") from error
    if found.format != FORMAT:
        raise RunError(
            f"{file}: format {found.format}, but this version reads {FORMAT}; use the version of "
            "dagrec that wrote it."
        )
    return found


def check_same_data(path: Path, data_sha256: str) -> None:
    """Raise RunError if the data is not what the run in a folder began with."""
    if (begun := read_beginning(path)).data_sha256 != data_sha256:
        raise RunError(
            f"{path}: the data has changed since the run began (sha256 {data_sha256[:12]}…, was "
            f"{begun.data_sha256[:12]}…); bring the old data back, or start a new run."
        )


def check_same_code(path: Path, now: str) -> None:
    """Raise RunError if the user's own code is not what the run in a folder began with."""
    if read_beginning(path).code_sha256 != now:
        raise RunError(
            f"{path}: the code of its own that it runs has changed since it began; bring the old "
            "code back, or start a new run."
        )


class Resumption(NamedTuple):
    """What to run again."""

    config: DictConfig
    request: Request


def resumption(path: Path, words: Sequence[str]) -> Resumption:
    """Return a run to continue.

    Parameters
    ----------
    path
        Its folder.
    words
        Further overrides. They may raise ``trainer.epochs`` and change what decides no figure, such
        as ``threads`` or where the data lie; any other must say what the run has already. ``trust``
        names packages of others whose classes it may name.

    Raises
    ------
    RunError
        If the folder holds no run that can be resumed, or an override would change it.
    """
    begun = read_beginning(path)
    trust = [word.removeprefix(TRUST) for word in words if word.startswith(TRUST)]
    words = [word for word in words if not word.startswith(TRUST)]
    named = {word.partition("=")[0].partition(".")[0] for word in words}
    begun.choices.setdefault("logger", "csv")  # written before there was a choice
    config = checked_config(Run(path, {}).config, path / CONFIG, named, trusted_packages(trust))
    overrides = list(begun.overrides)
    for word in map(as_typed, words):
        key, _, text = word.partition("=")
        given = OmegaConf.select(OmegaConf.from_dotlist([word]), key)
        if key == EPOCHS:
            _raise_epochs(config, given)
            overrides = _with(overrides, word)
        elif _is_free(config, key):
            OmegaConf.update(config, key, given)
            overrides = overrides if effect(key) is Effect.NOTHING else _with(overrides, word)
        else:
            _refuse_change(config, begun.choices, key, text.strip(QUOTES), given)
    is_below = begun.sweep and Path(begun.sweep).absolute() in path.absolute().parents
    code = code_sha256(plain(config))
    check_same_code(path, code)
    request = Request(begun.choices, overrides, begun.sweep if is_below else None, code)
    return Resumption(config, request)


def resume_command(path: Path, request: Request) -> str:
    """Return the command line that continues a run.

    Settings that name a file outside the working folder are not believed from a run folder, so the
    command repeats their group.
    """
    pairs = [(word.partition("=")[0].partition(".")[0], word) for word in request.overrides]
    parted = [(group, *word.partition("=")[::2]) for group, word in pairs]
    outside = {group for group, key, text in parted if leads_out(key, text.strip(QUOTES))}
    words = [word for group, word in pairs if group in outside]
    return shlex.join(["dagrec", "train", *config_flag(), f"resume={short_path(path)}", *words])


def check_nothing_new(run: Run, config: DictConfig, request: Request) -> None:
    """Raise RunError if a run that has finished, and kept no checkpoint, would become another.

    Parameters
    ----------
    config, request
        What it would be resumed with; its data are read again, to be the same.
    """
    check_same_data(run.path, build(config.data, "data").sha256())
    before, after = (settings(each, TOLD) for each in (run.config, plain(config)))
    if new := [f"{key}={value}" for key, value in after.items() if before.get(key) != value]:
        words = shlex.join(["dagrec", "train", *request.overrides, KEEP])
        raise RunError(
            f"{run.path}: the run has finished and kept no checkpoint to continue from with "
            f"{new[0]}; train it again and keep them: {words}"
        )


def _with(overrides: Sequence[str], word: str) -> list[str]:
    """Return overrides with one more, which takes the place of those with its key."""
    key = word.partition("=")[0]
    return [each for each in overrides if not each.startswith(f"{key}=")] + [word]


def _is_free(config: DictConfig, key: str) -> bool:
    """Return whether a setting of the run, no whole group, may have another value."""
    has = OmegaConf.select(config, key, default=config)  # itself where there is no such setting
    return effect(key) in FREE and not isinstance(has, DictConfig)


def _raise_epochs(config: DictConfig, epochs: object) -> None:
    trainer = config.trainer
    check(EPOCHS, epochs, Count)
    if not isinstance(epochs, int) or epochs < trainer.epochs:
        raise RunError(
            f"{EPOCHS} is {epochs} but the run has {trainer.epochs}; it can only be raised."
        )
    if epochs > trainer.epochs and (trainer.schedule != "constant" or trainer.warmup):
        raise RunError(
            f"{EPOCHS}={epochs} would change the learning rate of epochs that are over, which "
            "trainer.schedule and trainer.warmup spread over all of them; start a new run."
        )
    trainer.epochs = epochs


def _refuse_change(
    config: DictConfig, choices: Mapping[str, str], key: str, text: str, given: object
) -> None:
    has = choices.get(key, OmegaConf.select(config, key))
    if has != (text if key in choices else given):
        raise RunError(
            f"resume keeps the settings of the run, but {key}={text} would change one (now {has}); "
            f"{EPOCHS} may be raised, and what decides no figure may change, such as threads."
        )
