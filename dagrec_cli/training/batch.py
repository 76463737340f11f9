"""Training pairs as tensors: distinct contexts once, rows that refer to them, weights.

::

    pairs       a→x   b→y   a→x   b→z         context → target, as they come

    contexts    a     b                       each encoded once, or once per owner
    size        1     2                       how many rows a context has
    target      x     y  z                    rows, those of one context side by side
    weight      2     1  1                    how often the pair occurs

    batch([1])        b                       contexts
                      0  0                    row: which of the batch's contexts
                      y  z  1  1              target, weight
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.ragged import block_places
from dagrec_cli.data.split_base import SplitUnits
from dagrec_cli.models.base import Prior
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import Hidden, RowCounts
from dagrec_cli.models.layers.dag_mask import AllowedServices, DagMask
from dagrec_cli.models.layers.interpolated_counts import Beliefs
from dagrec_cli.models.layers.preferences import RowPreferences

CPU = torch.device("cpu")


class Batch(NamedTuple):
    """What the loss of one batch reads.

    Attributes
    ----------
    contexts
        Contexts to encode: each distinct one once, or one per pair.
    row
        Which context each training row belongs to.
    target
        Service class of each training row.
    weight
        How often the row occurs.
    choices
        What the DAG mask allows after each context; None without mask.
    total
        What the weighted sum of the rows' losses is divided by: the weight of all rows of the
        optimisation step, which may span several batches.
    beliefs
        What each of the model's priors weighs, for each training row.
    """

    contexts: Contexts
    row: Int[Tensor, " rows"]
    target: Int[Tensor, " rows"]
    weight: Float[Tensor, " rows"]
    choices: AllowedServices | None
    total: float
    beliefs: tuple[Beliefs, ...] = ()


@dataclass(frozen=True)
class TrainingPairs:
    """All pairs of a training, from which batches are taken.

    Attributes
    ----------
    contexts
        What to encode.
    size
        Rows of each context, ``[contexts]``; those of one context lie side by side.
    target, weight
        Service class of each row and how often the row occurs, ``[rows]``.
    mask
        None for a model without DAG mask.
    counts_of_rows
        The counts that each row sees, for each of the model's priors.
    device
        Where batches are put.
    """

    contexts: Contexts
    size: NDArray[np.int32]
    target: Int[Tensor, " rows"]
    weight: Float[Tensor, " rows"]
    mask: DagMask | None
    counts_of_rows: tuple[RowCounts | RowPreferences, ...] = ()
    device: torch.device = CPU

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        rows: Rows,
        mask: DagMask | None,
        *,
        distinct: bool,
        repeat_alpha: float = 1.0,
        priors: Sequence[Prior] = (),
        units: SplitUnits | None = None,
    ) -> "TrainingPairs":
        """Return the given pairs.

        Parameters
        ----------
        rows
            Row numbers of ``dataset.pairs``.
        mask
            None for a model without DAG mask.
        distinct
            True: equal pairs become one weighted row and every context is encoded once. False: one
            row and one encoding per pair, as the paper has it. Same loss, more work.
        repeat_alpha
            See :class:`~dagrec_cli.data.pairs.WeightedPairs`; needs ``distinct``.
        priors
            What counts the pairs: the model's own.
        units
            What is hidden from each pair in its counts; None for its own row.
        """
        hidden: Hidden = "row" if units is None else units.kind
        needs_units = bool(priors) or repeat_alpha != 1
        unit = units.of(rows) if units is not None and needs_units else None
        contexts, pairs = Contexts.of_pairs(dataset, rows)
        # Rows come sorted by context (or are one per context), so that their blocks lie end to end.
        if distinct:
            weighted = pairs.distinct(unit, repeat_alpha)
        else:
            contexts = contexts.take(pairs.context)
            weighted = pairs._replace(context=np.arange(len(rows), dtype=np.int32)).repeated(unit)
        return cls(
            contexts,
            np.bincount(weighted.context, minlength=len(contexts)).astype(np.int32),
            torch.from_numpy(weighted.target).long(),
            torch.from_numpy(weighted.worth),
            mask,
            tuple(prior.fill(weighted, contexts, hidden) for prior in priors),
        )

    def on(self, device: torch.device) -> "TrainingPairs":
        """Return the same pairs, whose batches are put on a device."""
        return self if device == self.device else replace(self, device=device)

    @cached_property
    def total(self) -> float:
        """Weight of all rows."""
        return self.weight.sum(dtype=torch.float64).item()

    @cached_property
    def weight_of(self) -> Float[np.ndarray, " contexts"]:
        """Weight of each context's rows."""
        owner = np.repeat(np.arange(len(self.size)), self.size)
        return np.bincount(owner, self.weight.numpy(), minlength=len(self.size))

    @cached_property
    def depth_first(self) -> Int[np.ndarray, " contexts"]:
        """Places of the contexts, such that neighbours share as many nodes as they can."""
        dag, entries = self.contexts.known
        return dag.depth_first(entries)

    @cached_property
    def whole(self) -> Batch:
        """All pairs as one batch."""
        return self.batch(np.arange(len(self.size), dtype=np.int32), self.total)

    def batch(self, chosen: NDArray[np.int32], total: float) -> Batch:
        """Return the rows of some contexts.

        Parameters
        ----------
        chosen
            Which of them.
        total
            See :class:`Batch`.
        """
        contexts = self.contexts.take(chosen)
        # Rows lie in blocks, one per context: read those of the chosen ones, whatever their number.
        row, place = map(torch.from_numpy, block_places(self.size, chosen))
        return Batch(
            contexts.to(self.device),
            row.to(self.device),
            self.target[place].to(self.device),
            self.weight[place].to(self.device),
            self.mask.choices(contexts.last).to(self.device) if self.mask else None,
            total,
            tuple(seen.beliefs(place).to(self.device) for seen in self.counts_of_rows),
        )

    def counts(self, n_services: int) -> Float[Tensor, " services"]:
        """Return how often each service is a target."""
        return torch.bincount(self.target, self.weight, minlength=n_services).to(self.device)
