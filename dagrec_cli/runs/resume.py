"""A run that was stopped, and continues: what it began with, what may change, its checkpoints."""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import Effect, config_hash, effect, settings
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.config.untrusted import checked_config, leads_out, trusted_packages
from dagrec_cli.config.where import code_sha256, config_flag
from dagrec_cli.config.words import typed
from dagrec_cli.data.plain_files import check_own_folder, read_plain, remove_leftovers
from dagrec_cli.errors import RunError, short_path
from dagrec_cli.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    EVENTS,
    FINAL,
    MLFLOW_RUN,
    REQUEST,
    RESULT,
    RunFolder,
)
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.record import RunStart, read_record, write_record
from dagrec_cli.runs.run import Run, settings_of
from dagrec_cli.training.checkpoint import pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.state import TrainingState

KEPT = 2  # checkpoints: the newest, and the one before it in case the newest is damaged
QUOTES = "'\""
EPOCHS = "trainer.epochs"
TRUST = "trust="
KEEP = "keep_checkpoints=true"
FREE = {Effect.NOTHING, Effect.PLACE}  # the content of the data is checked


def begin(
    folder: RunFolder,
    config: DictConfig,
    request: Request,
    data_sha256: str,
    threads: int,
    *,
    resume: bool,
) -> None:
    """Write what a run begins with, or continues with; what came of it before is void.

    What an earlier run left, and could be taken for the new one's, goes too, unless it continues.
    """
    for name in (RESULT,) if resume else (CONFIG, RESULT, MLFLOW_RUN, CHECKPOINTS, EVENTS, FINAL):
        folder.remove(name)
    start = RunStart(
        **msgspec.structs.asdict(request),
        data_sha256=data_sha256,
        config_sha256=config_hash(plain(config)),
        threads=threads,
    )
    write_record(folder, start)


def read_start(path: Path) -> RunStart:
    """Return what the run in a folder began with.

    Raises
    ------
    RunError
        If the folder or its ``request.json`` is missing, damaged, or of another format.
    """
    if not path.is_dir():
        raise RunError(f"{path}: no such folder; name the run folder to continue.")
    try:
        return read_record(path, RunStart)
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: no {REQUEST}; it is no folder of dagrec train, or was stopped before "
            "training began."
        ) from error


def check_same_data(path: Path, data_sha256: str) -> RunStart:
    """Return what the run in a folder began with; raise RunError if it is other data."""
    if (start := read_start(path)).data_sha256 != data_sha256:
        raise RunError(
            f"{path}: the data has changed since the run began (sha256 {data_sha256[:12]}…, was "
            f"{start.data_sha256[:12]}…); bring the old data back, or start a new run."
        )
    return start


def check_same_code(path: Path, now: str) -> None:
    """Raise RunError if the user's own code is not what the run in a folder began with."""
    if read_start(path).code_sha256 != now:
        raise RunError(
            f"{path}: the code of its own that it runs has changed since it began; bring the old "
            "code back, or start a new run."
        )


def resumption(path: Path, words: Sequence[str]) -> tuple[DictConfig, Request]:
    """Return the config and the request of a run to continue.

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
    start = read_start(path)
    trust = [word.removeprefix(TRUST) for word in words if word.startswith(TRUST)]
    words = [word for word in words if not word.startswith(TRUST)]
    named = {word.partition("=")[0].partition(".")[0] for word in words}
    config = checked_config(settings_of(path), path / CONFIG, named, trusted_packages(trust))
    overrides = list(start.overrides)
    for word in typed(words):
        key, _, text = word.partition("=")
        given = OmegaConf.select(OmegaConf.from_dotlist([word]), key)
        if key == EPOCHS:
            _raise_epochs(config, given)
            overrides = _with(overrides, word)
        elif _is_free(config, key):
            OmegaConf.update(config, key, given)
            overrides = overrides if effect(key) is Effect.NOTHING else _with(overrides, word)
        else:
            _refuse_change(config, start.choices, key, text.strip(QUOTES), given)
    is_below = start.sweep and Path(start.sweep).absolute() in path.absolute().parents
    code = code_sha256(plain(config))
    check_same_code(path, code)
    request = Request(start.choices, overrides, start.sweep if is_below else None, code)
    return config, request


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
    before, after = (settings(c, {Effect.FIGURES}) for c in (run.config, plain(config)))
    if new := [f"{key}={value}" for key, value in after.items() if before.get(key) != value]:
        words = shlex.join(["dagrec", "train", *request.overrides, KEEP])
        raise RunError(
            f"{run.path}: the run has finished and kept no checkpoint to continue from with "
            f"{new[0]}; train it again and keep them: {words}"
        )


def _with(overrides: Sequence[str], word: str) -> list[str]:
    """Return overrides with one more, which takes the place of those with its key."""
    key = word.partition("=")[0]
    return [*(other for other in overrides if not other.startswith(f"{key}=")), word]


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


class CheckpointStore:
    """Keeps the checkpoints of one training.

    Parameters
    ----------
    run
        The run folder.
    name
        What their names begin with: ``seed0``.
    warn
        Told, in one line, of a checkpoint that cannot be used.

    Raises
    ------
    RunError
        If their folder is a link.
    """

    def __init__(self, run: RunFolder, name: str, warn: Callable[[str], None]) -> None:
        self.path = run.path / CHECKPOINTS
        check_own_folder(self.path)
        self.name = name
        self.warn = warn

    @property
    def files(self) -> list[Path]:
        """The checkpoints, newest first."""
        return sorted(self.path.glob(f"{self.name}_epoch*.safetensors"), reverse=True)

    def load(self, state: TrainingState) -> None:
        """Bring a training to the newest checkpoint that is whole, if there is any.

        Raises
        ------
        RunError
            If there are checkpoints, but none of them can be used.
        """
        remove_leftovers(self.path)
        files = self.files
        for file, before in zip_longest(files, files[1:]):
            try:
                state.load(unpack_checkpoint(read_plain(file)))
            except RunError as error:
                line = f"{file}: {error}"
                if before is None:
                    raise RunError(f"{line}; run it again.") from error
                self.warn(f"{line}; continuing from {before.name}.")
            else:
                return

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint; an older one is removed only when the new one is whole."""
        name = f"{self.name}_epoch{state.epoch:07}.safetensors"
        content = pack_checkpoint(state.checkpoint())
        RunFolder(self.path).write(name, lambda file: file.write(content))
        for file in self.files[KEPT:]:
            file.unlink()


def has_checkpoints(path: Path, seeds: Iterable[int]) -> bool:
    """Return whether a run folder has a checkpoint of each of some seeds."""
    return all(any((path / CHECKPOINTS).glob(f"seed{seed}_epoch*.safetensors")) for seed in seeds)
