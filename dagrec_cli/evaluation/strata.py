"""Strata of test steps: what the fitted rows have already shown of a step, and of its composition.

By its edge, a step is of one of three strata, and by its composition of one of two. The mean of a
figure over the steps of its strata is the figure of all of them; a macro average is another matter.
"""

from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Bool

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows

OfEdge = Literal["known edge", "new edge", "new node"]
OfComposition = Literal["composition seen", "composition new"]
StratumName: TypeAlias = OfEdge | OfComposition

STRATA: tuple[tuple[StratumName, ...], ...] = (get_args(OfEdge), get_args(OfComposition))
STRATA_RULE = (
    "an edge, from the last node to the target, is known if a fitted row has it; a node is new if "
    "no fitted row holds the one or has the other as its target; a composition is seen if an equal "
    "one is fitted; a row that holds out validation pairs has fitted fewer, so its strata differ"
)


def strata(
    dataset: Dataset, fitted: Rows, rows: Rows
) -> dict[StratumName, Bool[np.ndarray, " pairs"]]:
    """Return which of some pairs are of each stratum, where there are any.

    Parameters
    ----------
    fitted
        The rows that a model is fitted on, so no validation row.
    rows
        The pairs that are asked about.
    """
    pairs = dataset.pairs
    last = dataset.contexts.node[pairs.context]
    nodes, targets = dataset.nodes_in(fitted)
    edge = last.astype(np.int64) << 32 | pairs.target
    is_known = np.isin(edge[rows], edge[fitted])
    is_named = np.isin(last[rows], nodes) & np.isin(pairs.target[rows], targets)
    group = dataset.group[pairs.composition]
    is_seen = np.isin(group[rows], group[fitted])
    found: dict[StratumName, Bool[np.ndarray, " pairs"]] = {
        "known edge": is_known,
        "new edge": is_named & ~is_known,
        "new node": ~is_named,
        "composition seen": is_seen,
        "composition new": ~is_seen,
    }
    return {name: where for name, where in found.items() if where.any()}
