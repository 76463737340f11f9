"""The data of a run: what reads them, and the steps in them that its model was fitted on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.config.where import PACKAGE, agreed, options
from dagrec_cli.data.cache import CachedSource, cached_dataset
from dagrec_cli.data.composition import Composition, Fault, Invalid, Source, as_dag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.files import opened
from dagrec_cli.data.invalid import without_contexts
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.formats import START, likely_option
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError, DagrecError, DataError
from dagrec_cli.evaluation.why import EarlierSteps, Explainer
from dagrec_cli.models.base import Model
from dagrec_cli.runs.folder import CONFIG
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData

UNLIKE_ANY = "compositions"  # what reads a file that looks like none of the formats
IN_MEMORY = "composition"  # what messages call a file that lies in memory

Given = Path | bytes | Composition
Compositions = Iterator[Composition | Invalid]


def own_data(run: Run) -> DictConfig:
    """Return the run's data group without what it read; see :func:`checked_node`."""
    node = run.config.get("data")
    if isinstance(node, dict):
        is_place = {key for key in node if effect(f"data.{key}") is Effect.PLACE}
        node = {key: None if key in is_place else value for key, value in node.items()}
    return checked_node({"data": node}, "data", run.path / CONFIG, run.packages)


def explainer(run: Run, model: Model, path: Path | None, *, is_final: bool) -> Explainer:
    """Return what says why a run's model recommends what it does.

    Parameters
    ----------
    path
        Where the run's data lie; None for where it has them, if that is below the working folder.
    is_final
        Whether the model is the one fitted on all steps.
    """
    try:
        if path is None:
            data = checked_node(run.config, "data", run.path / CONFIG, run.packages)
        else:
            data = own_data(run)
            data.path = str(path)
        steps = _earlier_steps(run, data, model.facts.vocabulary, is_final)
    except DagrecError as error:
        return Explainer(model, None, str(error).rstrip("."))
    return Explainer(model, steps)


def _earlier_steps(
    run: Run, node: DictConfig, vocabulary: Vocabulary, is_final: bool
) -> EarlierSteps:
    source: CachedSource = build(node, "data", kind=CachedSource)
    dataset = cached_dataset(source)
    if dataset.sha256 != run.finished.data.sha256:
        raise DataError("the data are others than those that the model was trained on")
    rows = np.arange(len(dataset.pairs.context)) if is_final else _fitted(run, dataset)
    return EarlierSteps(dataset.known_by(vocabulary), rows, _called(source))


def _fitted(run: Run, dataset: Dataset) -> Rows:
    """Return the pairs that the model of the run's figures was fitted on at last."""
    result = run.finished
    node = checked_node(run.config, "split", run.path / CONFIG, run.packages)
    split: Split = build(node, "split", kind=Split)
    data = SplitData.of(dataset, split)
    if result.data.validation and not result.model.refit:
        trainer = agreed("trainer") | {**run.config["trainer"]}  # an earlier run names no draw
        share, draw = float(trainer["validation_share"]), int(trainer["validation_draw"])
        data = data.validated(split, share, draw)
    return data.train


def _called(source: Source) -> list[str]:
    """Return what each composition of the data set is called, as messages call it."""
    return [
        item.place or f"compositions[{position}]"
        for position, item in enumerate(source.read())
        if isinstance(item, Composition) and not without_contexts(item, position, source)
    ]


def read_given(
    run: Run, given: Given, form: str, *, needs_link: bool
) -> tuple[Compositions, Source, str]:
    """Return given compositions, what reads them, and the option of the group data that this is.

    It is the run's own reader where they are of its format, or of none that is known; else the
    reader of that format.

    Parameters
    ----------
    form
        Which option it is to be; empty for what the content looks like.
    needs_link
        Whether one without a link is left out.

    Raises
    ------
    DagrecError
        If there is no such option, the file cannot be read, or the reader must not be built.
    """
    if form and form not in options("data"):
        raise ConfigError(f"no data={form}; name one of {', '.join(options('data'))}.")
    like = form or _likely_option(given)
    node, option = _reader(run, like)
    name = str(given) if isinstance(given, Path) else IN_MEMORY
    node |= {"path": name} if isinstance(given, Path) else {}
    source: Source = build(OmegaConf.create(node), "data", kind=Source)
    if isinstance(source, Reader):
        source.needs_link = needs_link
    return _said_of(_items(source, given), name, "" if like else option), source, option


def _likely_option(given: Given) -> str:
    if isinstance(given, Path):
        with opened(given) as content:
            given = content.read(START)
    return UNLIKE_ANY if isinstance(given, Composition) else likely_option(given[:START])


def _reader(run: Run, like: str) -> tuple[dict[str, Any], str]:
    """Return the settings of what reads a file that looks like an option, and the option's name."""
    option = options("data").get(like)
    node = {str(key): value for key, value in own_data(run).items()}
    is_others = not node["_target_"].startswith(f"{PACKAGE.name}.")
    if "path" in node and (is_others or option is None or option["_target_"] == node["_target_"]):
        like = run.result.choices.get("data", like)
    else:
        context = node.get("context", "path")  # before there was a choice, they were paths
        node = {**(option or options("data")[UNLIKE_ANY]), "context": context}
    return node | ({"on_cycle": "cut"} if "on_cycle" in node else {}), like or UNLIKE_ANY


def _items(source: Source, given: Given) -> Compositions:
    if not isinstance(given, bytes):
        items: Compositions = source.read() if isinstance(given, Path) else iter([given])
    elif isinstance(source, Reader):
        items = source.read_bytes(given, IN_MEMORY)
    else:
        raise DataError(f"{type(source).__name__} reads files alone; give the composition as one.")
    needs_link = getattr(source, "needs_link", True)
    for item in items:  # of no reader of files it may have cycles
        yield as_dag(item, "cut", needs_link=needs_link) if isinstance(item, Composition) else item


def _said_of(items: Compositions, name: str, option: str) -> Compositions:
    """Yield what a file holds; if nothing, or nothing readable, say of which format it was taken.

    Parameters
    ----------
    option
        Which option reads it though it does not look like it; empty if it does.
    """
    hint = f" (it looks like no format that data reads, so it is read as data={option})"
    try:
        first = next(items, None)
    except DataError as error:
        if not option:
            raise
        raise DataError(f"{str(error).rstrip('.')}{hint}.") from error
    if first is None:
        raise DataError(f"{name}: no composition in it; give a file that holds one.")
    if option and isinstance(first, Invalid):
        (place, problem), *_ = first.faults
        first = Invalid((Fault(place, f"{problem}{hint}"),))
    yield first
    yield from items
