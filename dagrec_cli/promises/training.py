"""What every split, every trainer and every logger promises."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save

from dagrec_cli.config.build import build
from dagrec_cli.config.compose import composed
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Sides, Split
from dagrec_cli.data.synthetic import Synthetic
from dagrec_cli.experiment.fit import run_experiment
from dagrec_cli.jobs.job import request_of, without_hydra
from dagrec_cli.loggers.base import RunLogger
from dagrec_cli.models.base import TorchModel
from dagrec_cli.promises.models import LOSS, ModelOption
from dagrec_cli.promises.worlds import BRANCHING, Records, dataset_of
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.progress import Silent
from dagrec_cli.training.state import History, TrainingTask
from dagrec_cli.training.trainer import Trainer

N_TRAINED = 2  # epochs
TRAINED_BRIEFLY = {"epochs": N_TRAINED, "patience": 0, "validation_share": 0.0}
TINY_NETWORK = {"hidden": 8, "embedding_dim": 8, "num_layers": 1}
TAKEN_IN = ("trainer=full_batch", f"trainer.epochs={N_TRAINED}")  # the run that a logger takes in
A_DAY = 86_400.0  # seconds


@cache
def _dated() -> Dataset:
    """Return compositions enough for any split to divide, one of which was made each day."""
    source: Synthetic = build(composed("train", ("data=synthetic",)).data, "data", kind=Synthetic)
    dated = [item._replace(start_time=k * A_DAY) for k, item in enumerate(source.read())]
    return build_dataset(Records([*dated], "dag"))


def _divisions(node: DictConfig) -> Iterator[tuple[str, Rows, Sides]]:
    """Yield what is divided for each test, and for the validation within: what for, rows, sides."""
    data = _dated()
    rows = np.arange(len(data.pairs.context))
    n_parts = build(node, "split", kind=Split).n_parts
    for part in range(n_parts):
        chosen = OmegaConf.merge(node, {"part": part} if n_parts > 1 else {})
        split: Split = build(chosen, "split", kind=Split)  # type: ignore[arg-type]
        sides = split.split(data)
        yield "test", rows, sides
        yield "validation", sides.kept, split.hold_out(data, sides.kept, 0.3)


def puts_each_pair_on_one_side(node: DictConfig) -> str:
    """Put every pair on one side, and on one alone: of the test, and of the validation.

    Return numbers of the rows that are given, each once: those that are kept, those held out. A
    split that leaves pairs out on purpose says so, see exempt in the guide.
    """
    for name, rows, sides in _divisions(node):
        found, times = np.unique(np.concatenate(sides), return_counts=True)
        if (times > 1).any():
            return f"{(times > 1).sum()} pairs twice, of {len(rows)} that the {name} divides"
        if others := len(np.setdiff1d(found, rows)):
            return f"{others} rows that were not given, where the {name} divides {len(rows)}"
        if lost := len(rows) - len(found):
            return f"{lost} pairs on no side, of {len(rows)} that the {name} divides"
    return ""


def divides_the_same_again(node: DictConfig) -> str:
    """Divide the same data the same again.

    Draw from a generator that seed begins, as np.random.default_rng(self.seed).
    """
    first, second = (
        [side.tobytes() for *_, sides in _divisions(node) for side in sides] for _ in range(2)
    )
    return "" if first == second else "other rows for the same seed"


def _trained(node: DictConfig) -> tuple[bytes, bytes, History]:
    """Train a small network; return its weights before and after, and the history."""
    short = {key: value for key, value in TRAINED_BRIEFLY.items() if key in node}
    trainer: Trainer = build(OmegaConf.merge(node, short), "trainer", kind=Trainer)  # type: ignore[arg-type]
    data, loss, sampler = dataset_of(BRANCHING), LOSS, NoSampler()
    model = ModelOption(composed("train", ("model=gru4rec",)).model)(data, **TINY_NETWORK)
    trainer.check(type(model), loss, sampler)
    assert isinstance(model, TorchModel)
    rows, distinct = np.arange(len(data.pairs.context)), trainer.distinct_contexts
    pairs = TrainingPairs.of(data, rows, model.hard_mask, distinct=distinct)
    task = TrainingTask(model, loss, sampler, pairs, torch.Generator().manual_seed(0))
    before = save(model.state_dict())
    trainer.fit(task)
    return before, save(model.state_dict()), task.history


def trains_for_its_epochs(node: DictConfig) -> str:
    """Train for as many epochs as it is told, and move the weights.

    Yield in steps() what an epoch goes through; the loop around it counts and steps.
    """
    before, after, history = _trained(node)
    if len(history.rows) != N_TRAINED:
        return f"{len(history.rows)} epochs instead of {N_TRAINED}"
    return "the weights that it began with" if after == before else ""


def trains_the_same_again(node: DictConfig) -> str:
    """Leave the same weights, to the byte, for the same seed.

    Let what steps() draws depend on the seed and the epoch that it is given, and on nothing else.
    """
    (_, first, _), (_, second, _) = _trained(node), _trained(node)
    return "" if first == second else "other weights for the same seed"


def takes_in_a_run(node: DictConfig) -> str:
    """Take in a run: its beginning, its epochs, its end; and the end of a sweep.

    Raise nothing: a logger that fails is left out of the rest of a run. What it gets, RunLogger in
    dagrec_cli/loggers/base.py says.
    """
    whole, said = composed("train", TAKEN_IN), list[str]()
    config = without_hydra(whole)
    config.logger = node
    logger: RunLogger = build(node, "logger", kind=RunLogger)
    with TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        request = request_of(whole.hydra, config, TAKEN_IN)
        run_experiment(config, folder, request, Silent(said.append))
        logger.end_sweep(folder)
    return "; ".join(said)


SPLIT_PROMISES: tuple[Callable[[DictConfig], str], ...] = (
    puts_each_pair_on_one_side,
    divides_the_same_again,
)
TRAINER_PROMISES: tuple[Callable[[DictConfig], str], ...] = (
    trains_for_its_epochs,
    trains_the_same_again,
)
LOGGER_PROMISES: tuple[Callable[[DictConfig], str], ...] = (takes_in_a_run,)
