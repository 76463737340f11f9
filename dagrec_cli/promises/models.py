"""What every model promises.

That no model reads the target needs no promise: ``forward`` is given contexts, which have none.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load, save
from torch import Tensor

from dagrec_cli.config.build import build
from dagrec_cli.config.compose import composed
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import CountingModel, Facts, Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.promises.worlds import BRANCHING, CHAINS, MERGES, STRANGE, dataset_of
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.state import TrainingTask
from dagrec_cli.training.step import BatchLoss
from dagrec_cli.training.trainer import Trainer

LOSS = CrossEntropy(label_smoothing=0.0)
SAME_SCORE = 1e-5  # scores that are alike
LEARNT_LOSS = 0.05  # mean loss of pairs that were learnt
FEW, ENOUGH = 3, 45  # epochs


class ModelOption:
    """An option of the group ``model``, to be built for any data.

    Parameters
    ----------
    node
        What its YAML composes to.
    """

    def __init__(self, node: DictConfig) -> None:
        self.node = node

    def __call__(self, dataset: Dataset, *, seed: int = 7, **settings: Any) -> Model:
        """Return the untrained model; a setting that it has not is left out."""
        known = {name: value for name, value in settings.items() if name in self.node}
        torch.manual_seed(seed)
        facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
        model: Model = build(OmegaConf.merge(self.node, known), "model", facts, kind=Model)  # type: ignore[arg-type]
        return model

    @property
    def still(self) -> dict[str, Any]:
        """The settings that switch dropout off."""
        return {key: 0.0 for key in map(str, self.node) if key.startswith("dropout")}


@cache
def _trainer(epochs: int) -> Trainer:
    words = ("trainer=full_batch", f"trainer.epochs={epochs}", "trainer.learning_rate=0.01")
    trainer: Trainer = build(composed("train", words).trainer, "trainer")
    return trainer


def _training_pairs(model: Model, dataset: Dataset) -> TrainingPairs:
    rows = np.arange(len(dataset.pairs.context))
    priors = model.priors if isinstance(model, TorchModel) else ()
    return TrainingPairs.of(dataset, rows, model.hard_mask, distinct=True, priors=priors)


def trained(
    model: Model, dataset: Dataset, epochs: int = FEW, every: TrainingPairs | None = None
) -> Model:
    """Fit a model to all pairs of a data set."""
    every = every or _training_pairs(model, dataset)
    if isinstance(model, CountingModel):
        contexts, pairs = Contexts.of_pairs(dataset, np.arange(len(dataset.pairs.context)))
        model.count(pairs.distinct(), contexts)
    elif isinstance(model, TorchModel):
        generator = torch.Generator().manual_seed(0)
        _trainer(epochs).fit(TrainingTask(model, LOSS, NoSampler(), every, generator))
    return model


@torch.no_grad()
def scores(model: Model, contexts: Contexts) -> Tensor:
    """Return the scores of a model that is not in training."""
    found: Tensor = model.eval()(contexts)
    return found


def every_context(dataset: Dataset) -> Contexts:
    """Return all contexts of a data set."""
    return Contexts(dataset.contexts, np.arange(len(dataset.contexts), dtype=np.int32))


def _are_alike(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found, expected, atol=SAME_SCORE)


def scores_every_service(make: ModelOption) -> str:
    """Give every service of the catalogue a finite score, after every context.

    Return one row per context and one column per service, facts.n_services of them; look for a
    division by zero, the logarithm of 0, or a mask of your own, which model.mask has already.
    """
    data = dataset_of(BRANCHING)
    found = scores(trained(make(data), data), every_context(data))
    shape = (len(data.contexts), len(data.vocabulary.services))
    if found.shape != shape:
        return f"scores of shape {[*found.shape]} instead of {[*shape]}"
    return (
        "" if found.isfinite().all() else f"{(~found.isfinite()).sum()} scores that are not finite"
    )


def tells_contexts_apart(make: ModelOption) -> str:
    """Score two contexts of equal length and of different nodes differently.

    Let the scores depend on the nodes of a context; a state that is read at a step of padding does
    not. A model that ignores its context on purpose says so, see exempt in the guide.
    """
    data = dataset_of(CHAINS)
    model, contexts = trained(make(data), data), every_context(data)
    for length in (1, 2):
        found = scores(model, contexts)[contexts.rows.length == length]
        if _are_alike(found, found[:1].expand_as(found)):
            return f"the same scores after {len(found)} different contexts of {length} nodes"
    return ""


def reads_what_merges(make: ModelOption) -> str:
    """Read all that leads to the last node, not one path to it alone.

    Read all rows of a context, or walk along contexts.levels; a model that reads the last node
    alone on purpose says so, see exempt in the guide.
    """
    data = dataset_of(MERGES, "dag")
    model = trained(make(data), data)
    merges = np.flatnonzero(data.followed.n_parents > 1).astype(np.int32)
    first, second = scores(model, Contexts(data.contexts, merges))
    return "the same scores after t1, t2 > s1 and after t1, t3 > s1" * _are_alike(first, second)


def ignores_batch_and_padding(make: ModelOption) -> str:
    """Score a context the same, whatever padding and other contexts a batch has.

    Padding is node 0: leave it out of sums, means and attention. No statistic of the batch may be
    used where a model scores (BatchNorm needs eval).
    """
    data = dataset_of(BRANCHING)
    model, contexts = trained(make(data), data), every_context(data)
    expected = scores(model, contexts)
    if isinstance(model, TorchModel):  # counts are of entries, not of rows
        nodes, length = contexts.rows
        padded = Contexts.of_rows(torch.nn.functional.pad(nodes, (0, 3)), length)
        if not _are_alike(scores(model, padded), expected):
            return "other scores where three steps of padding are added"
    for entry in range(len(data.contexts)):
        alone = Contexts(data.contexts, np.array([entry], np.int32))
        if not _are_alike(scores(model, alone)[0], expected[entry]):
            return "other scores of a context alone than of the same one among others"
    return ""


def trains_all_weights(make: ModelOption) -> str:
    """Let a gradient reach every weight, whichever the mask.

    Use the weight in forward or encode, or take it out; buffers are for what is not trained.
    """
    data = dataset_of(BRANCHING, "dag")  # some weights are for what merges
    missed: dict[str, None] = {}
    for mask in ("hard", "prior"):
        try:
            model = make(data, mask=mask, **make.still)
        except ConfigError:  # not every model can have a prior
            continue
        if not isinstance(model, TorchModel):
            return ", ".join(
                f"a counting model with a parameter {n}" for n, _ in model.named_parameters()
            )
        loss = BatchLoss(model, LOSS, NoSampler(), torch.Generator())
        loss(_training_pairs(model, data).whole).backward()  # type: ignore[no-untyped-call]
        weights = model.named_parameters()
        missed |= {name: None for name, p in weights if p.grad is None or not p.grad.any()}
    return f"no gradient reaches {', '.join(missed)}" if missed else ""


def learns_ten_pairs(make: ModelOption) -> str:
    """Learn ten pairs, each of another context and another target, by heart.

    If it learns nothing, look for a detach, a wrong axis, or a state that does not depend on the
    context; if it learns slowly, for weights that begin too large or too small.
    """
    data = dataset_of(CHAINS)
    model = trained(make(data, mask="none", **make.still), data, ENOUGH)
    batch = _training_pairs(model, data).whole
    found = scores(model, batch.contexts)[batch.row]
    right = int((found.argmax(dim=1) == batch.target).sum())
    if right < len(batch.target):
        return f"{right} of {len(batch.target)} right, after {ENOUGH} epochs"
    loss = float(LOSS(found, batch.target).mean())
    if isinstance(model, CountingModel) or loss < LEARNT_LOSS:
        return ""
    return f"a mean loss of {loss:.2f} after {ENOUGH} epochs; it should be {LEARNT_LOSS}"


def repeats_itself(make: ModelOption) -> str:
    """Give the same scores for the same seed.

    Draw from torch alone, which is seeded; no clock, no set of which the order counts.
    """
    data = dataset_of(BRANCHING)
    found = []
    for model in (make(data), make(data)):
        torch.manual_seed(1)
        found.append(scores(trained(model, data), every_context(data)))
    return "" if torch.equal(*found) else "other scores, trained twice with one seed"


def is_saved_whole(make: ModelOption) -> str:
    """Give the same scores once saved and loaded.

    Keep what is learnt as parameters or buffers (register_buffer), not as other attributes.
    """
    data = dataset_of(BRANCHING)
    model, other = trained(make(data), data), make(data, seed=8)
    other.load_state_dict(load(save(model.state_dict())))
    contexts = every_context(data)
    is_equal = torch.equal(scores(other, contexts), scores(model, contexts))
    return "" if is_equal else "other scores, once its weights are saved and loaded"


def leaves_the_batch(make: ModelOption) -> str:
    """Leave what it is given as it was.

    Change a copy: x + 1 instead of x += 1, masked_fill instead of masked_fill_.
    """
    data = dataset_of(BRANCHING)
    model = make(data)
    every = _training_pairs(model, data)
    batch = every.whole
    given = (*batch.contexts.rows, batch.contexts.last, batch.row, batch.target, batch.weight)
    before = [each.clone() for each in given]
    scores(trained(model, data, every=every), batch.contexts)
    return "" if all(map(torch.equal, before, given)) else "its contexts, targets or weights change"


def scores_the_unseen(make: ModelOption) -> str:
    """Score contexts that training did not have, and longer ones.

    Size no table by the longest context, and look nothing up that may be missing.
    """
    data = dataset_of(BRANCHING)
    model = trained(make(data, mask="hard"), data)
    unseen = [[data.vocabulary.index[node] for node in each.split()] for each in STRANGE]
    contexts = Contexts(*paths([*unseen, *([node] for node in data.vocabulary.index.values())]))
    found = scores(model, contexts)
    if not found.isfinite().all():
        return "scores that are not finite"
    mask = model.hard_mask
    is_masked_whole = (
        mask is not None and not mask(found, contexts.last).isfinite().any(dim=1).all()
    )
    return "no service left after some context" if is_masked_whole else ""


PROMISES: tuple[Callable[[ModelOption], str], ...] = (
    scores_every_service,
    tells_contexts_apart,
    reads_what_merges,
    ignores_batch_and_padding,
    trains_all_weights,
    learns_ten_pairs,
    repeats_itself,
    is_saved_whole,
    leaves_the_batch,
    scores_the_unseen,
)
