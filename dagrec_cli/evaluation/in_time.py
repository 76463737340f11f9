"""Each step predicted from the counts of what was known as its composition started, in one pass.

It is what a model gives that is fitted anew for each moment, on what is known by then, knows no
other service, and has counted nothing after UNKNOWN nodes.
"""

from collections.abc import Sequence

import numpy as np
import torch

from dagrec_cli.config.metric_names import of_lists
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Stream
from dagrec_cli.errors import ConfigError
from dagrec_cli.evaluation.evaluator import SCORES_AT_ONCE, Evaluation, joined, probabilities
from dagrec_cli.evaluation.ranks import UNRANKED, outcomes
from dagrec_cli.models.backoff import Truncating
from dagrec_cli.models.base import Model
from dagrec_cli.models.context_batch import Contexts


def check_in_time(model: Model, metrics: Sequence[str] = ()) -> Truncating:
    """Return a model whose counts can be looked up by time.

    Raises
    ------
    ConfigError
        If it is none, or has a mask, or a metric is of what one finished model recommends.
    """
    if lists := of_lists(metrics):
        raise ConfigError(
            f"metrics has {lists[0]}, of what one model recommends, but with split.blocks=each it "
            "counts while it is tested; leave that out, or use split.blocks=10."
        )
    if isinstance(model, Truncating) and model.mask == "none":
        return model
    raise ConfigError(
        "split.blocks=each predicts each step from counts as they were at its time; use "
        "model=backoff or recency with model.mask=none (model.order=0 of backoff is popularity), "
        "or split.blocks=10."
    )


@torch.no_grad()
def evaluate_in_time(
    model: Truncating, dataset: Dataset, rows: Rows, stream: Stream, repeat_alpha: float
) -> Evaluation:
    """Let a model count all pairs, and return its outcomes on some, each by what is known by then.

    Parameters
    ----------
    dataset
        In the model's numbers.
    rows
        Something is known as each of them is predicted.
    repeat_alpha
        Of equal steps of one composition, see :class:`~dagrec_cli.data.pairs.WeightedPairs`.
    """
    contexts, pairs = Contexts.of_pairs(dataset, np.arange(len(stream.known)))
    weighted = pairs.repeated(stream.known.astype(np.int32))
    counts = model.in_time(weighted._replace(repeat_alpha=repeat_alpha), contexts)
    at_once = max(1, SCORES_AT_ONCE // model.facts.n_services)
    order = np.argsort(stream.limit[rows], kind="stable")  # those of a moment together
    rows = rows[order]
    parts = []
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        number, target = np.arange(len(some)), pairs.target[some]
        of_each, popularity = counts.known(
            torch.from_numpy(pairs.context[some]).long(), torch.from_numpy(stream.limit[some])
        )
        # A service that nothing was known of stands below all others; as a target it has no rank.
        scores = of_each.where(popularity > 0, -torch.inf).numpy()
        chance = probabilities(scores)
        found = outcomes(scores, number, target)
        is_lost = np.isneginf(scores[number, target])
        found.better[is_lost], found.tied[is_lost] = UNRANKED, 0
        parts.append(Evaluation(found, chance[number, target], chance[number, found.predicted]))
    whole = joined(parts, order)
    return whole if model.is_probabilistic else whole._replace(confidence=None)
