"""The data of a run: what reads them, and the steps in them that its model was fitted on."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.data.cache import CachedSource, cached_dataset
from dagrec_cli.data.composition import Composition, Source
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.invalid import too_many_paths
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Split
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DagrecError, DataError
from dagrec_cli.evaluation.why import EarlierSteps, Explainer
from dagrec_cli.models.base import Model
from dagrec_cli.runs.folder import CONFIG
from dagrec_cli.runs.run import Run
from dagrec_cli.training.split_data import SplitData


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
        data = data.validated(split, float(run.config["trainer"]["validation_share"]))
    return data.train


def _called(source: Source) -> list[str]:
    """Return what each composition of the data set is called, as messages call it."""
    return [
        item.place or f"compositions[{position}]"
        for position, item in enumerate(source.read())
        if isinstance(item, Composition) and not too_many_paths(item, position, source)
    ]
