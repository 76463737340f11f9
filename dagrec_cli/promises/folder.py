"""The promises of all that lies in a folder of one's own: ``dagrec check mine``."""

from collections.abc import Callable, Iterator, Sequence
from inspect import cleandoc
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.app.failures import explain
from dagrec_cli.config.build import build, factory
from dagrec_cli.config.compose import composed
from dagrec_cli.config.where import is_own
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.errors import ConfigError, did_you_mean, one_line, short_path
from dagrec_cli.experiment.components import COMPONENT_TYPES, Components
from dagrec_cli.jobs.job import n_parts, request_of, without_hydra
from dagrec_cli.jobs.tables import Tables, checked_table
from dagrec_cli.losses.base import Loss
from dagrec_cli.promises.models import PROMISES, ModelOption
from dagrec_cli.promises.parts import (
    LOSS_PROMISES,
    READER_PROMISES,
    SAMPLER_PROMISES,
    ReaderOption,
)
from dagrec_cli.promises.training import LOGGER_PROMISES, SPLIT_PROMISES, TRAINER_PROMISES

OWN_GROUPS = ("model", *COMPONENT_TYPES, "experiment", "table")
BESIDE = {"sampler": ("loss=bpr",)}  # without which an option of a group does not make sense

Demand = tuple[Callable[[Any], str], Any]  # a promise, and of what it is asked


class Finding(NamedTuple):
    """What came of one promise.

    Attributes
    ----------
    option
        Of whom it was asked, such as ``model=mean``.
    name
        The promise's name.
    promise
        What is promised.
    remedy
        What to do where it is broken.
    seen
        What was seen of a broken one; empty if it is kept.
    exempt
        Why it need not be kept; empty if it must be.
    """

    option: str
    name: str
    promise: str
    remedy: str
    seen: str = ""
    exempt: str = ""

    @property
    def outcome(self) -> str:
        """``kept``, ``exempt``, or ``BROKEN``."""
        if not self.seen:
            return "kept"
        return "exempt" if self.exempt else "BROKEN"

    def lines(self) -> list[tuple[str, str]]:
        """Return what there is to say, each under a label; of a broken promise also what to do."""
        promise = (f"  {self.outcome:<8}", self.promise)
        match self.outcome:
            case "kept":
                return [promise]
            case "exempt":
                return [promise, ("           why: ", self.exempt)]
        broken = (promise[0], f"{self.promise} ({self.name})")
        return [broken, ("          seen: ", self.seen), ("            do: ", self.remedy)]


def options_in(folder: Path, chosen: Sequence[str] = ()) -> list[str]:
    """Return the options in a user's folder, such as ``model=mean``: those chosen, or all.

    Raises
    ------
    ConfigError
        If it is no folder, holds none, or lacks one that was chosen.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; dagrec new model NAME makes one.")
    found = [
        f"{group}={file.stem}"
        for group in OWN_GROUPS
        for file in sorted(folder.glob(f"{group}/*.yaml"))
    ]
    if not found:
        raise ConfigError(
            f"{folder} holds no option, such as {Path(folder, 'model', 'NAME.yaml')}; "
            "dagrec new model NAME makes one."
        )
    for word in chosen:
        if word not in found:
            hint = did_you_mean(word, found)
            raise ConfigError(f"{folder} has no {word!r}; {hint}it has {', '.join(found)}.")
    return [word for word in found if word in chosen or not chosen]


def broken_promises(folder: Path, *chosen: str) -> list[str]:
    """Return a line for each promise that something in a user's folder breaks, for tests."""
    broken = [each for each in findings(folder, chosen) if each.outcome == "BROKEN"]
    return [f"{each.option}: {each.promise} Seen: {each.seen}. {each.remedy}" for each in broken]


def findings(folder: Path, chosen: Sequence[str] = ()) -> Iterator[Finding]:
    """Yield what comes of each promise of each option in a user's folder, whose code is run.

    Raises
    ------
    ConfigError
        If there is nothing to ask, or a built-in option would hide one of the folder's.
    """
    folder = folder.absolute()
    for option in options_in(folder, chosen):
        settings = ask(option, _composes, (option, folder), folder, {})
        yield settings
        if settings.seen:
            continue  # there is nothing to ask
        exempt, asked = questions_of(option, folder)
        if unknown := exempt.keys() - {promise.__name__ for promise, _ in asked}:
            names = ", ".join(promise.__name__ for promise, _ in asked)
            raise ConfigError(f"{option}: exempt has {unknown.pop()!r}; its promises are {names}.")
        for promise, subject in asked:
            yield ask(option, promise, subject, folder, exempt)


def ask(
    option: str, promise: Callable[[Any], str], subject: Any, folder: Path, exempt: dict[str, str]
) -> Finding:
    """Return what comes of a promise: also where it raises, which breaks it."""
    text, _, remedy = cleandoc(promise.__doc__ or "").partition("\n\n")
    try:
        with torch.random.fork_rng(devices=[]):  # which promises seed
            seen = promise(subject)
    except Exception as error:
        seen = _what_broke(error, folder)
    why = exempt.get(promise.__name__, "")
    return Finding(option, promise.__name__.strip("_"), text, " ".join(remedy.split()), seen, why)


def _what_broke(error: Exception, folder: Path) -> str:
    """Return what went wrong, and where in the user's code."""
    line = explain(error, "train")
    if line is not None:
        return line
    places = [
        f"{short_path(Path(frame.f_code.co_filename))} line {line}"
        for frame, line in walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).is_relative_to(folder)
    ]
    where = f" ({places[-1]})" if places else ""
    return one_line(f"{type(error).__name__}: {error}{where}")


def _composes(asked: tuple[str, Path]) -> str:
    """Compose with the other groups, with the settings that its class takes.

    Write _target_ and every keyword of the constructor into the YAML, with a value of its kind; a
    model's may leave out what all built-in ones have with one value.
    """
    option, folder = asked
    group, _, name = option.partition("=")
    if group != "table":
        _components((*BESIDE.get(group, ()), option), folder)
        return ""
    content: Any = OmegaConf.to_container(OmegaConf.load(folder / "table" / f"{name}.yaml"))
    table = checked_table(name, content)
    if isinstance(table, Tables):
        return ""
    for row in table.rows:
        for variant in table.variants:
            try:
                words = [*table.base, *variant.overrides, *row.overrides]
                _find_data(_components(words, folder))
            except Exception as error:
                return f"row {row.name!r}: {_what_broke(error, folder)}"
    return ""


def _components(words: Sequence[str], folder: Path) -> Components:
    """Build what a training needs, but for its model."""
    whole = composed("train", words, [str(folder)])
    config = without_hydra(whole)
    if n_parts(config) > 1:
        config.split.part = 0
    return Components.of(config, request_of(whole.hydra, config, words).choices)


def _find_data(components: Components) -> None:
    """Raise DataError if the files to read are not there; what may be downloaded stays there."""
    data = components.data
    if isinstance(data, Reader) and (data.path or not getattr(data, "download", None)):
        data.shards()


def questions_of(option: str, folder: Path) -> tuple[dict[str, str], list[Demand]]:
    """Return which promises an option's class is exempt from, and those that it is asked.

    A class of dagrec's own, which the user gives other settings, is asked none.
    """
    group, _, name = option.partition("=")
    if group not in PROMISED:
        return {}, []
    node: DictConfig = composed("train", (*BESIDE.get(group, ()), option), [str(folder)])[group]
    if not is_own(str(node["_target_"]).partition(".")[0]):
        return {}, []
    made: Any = factory(node, group).func
    promises, subject = PROMISED[group]
    if group == "data" and not issubclass(made, Reader):  # makes its compositions up
        return {}, []
    asked = subject(node, folder / "data" / name)
    return dict(getattr(made, "exempt", {})), [(promise, asked) for promise in promises]


PROMISED: dict[str, tuple[Sequence[Callable[[Any], str]], Callable[[DictConfig, Path], Any]]] = {
    "model": (PROMISES, lambda node, _: ModelOption(node)),
    "loss": (LOSS_PROMISES, lambda node, _: build(node, "loss", kind=Loss)),
    "sampler": (SAMPLER_PROMISES, lambda node, _: node),
    "data": (READER_PROMISES, ReaderOption),
    "split": (SPLIT_PROMISES, lambda node, _: node),
    "trainer": (TRAINER_PROMISES, lambda node, _: node),
    "logger": (LOGGER_PROMISES, lambda node, _: node),
}
