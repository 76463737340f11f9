"""Training pairs as tensors: distinct contexts once, rows that refer to them, weights."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows, WeightedPairs
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.models.layers.dag_mask import DagMask


class Batch(NamedTuple):
    """What one full-batch step reads.

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
    forbidden
        True where the DAG mask forbids a service after a context; None without mask.
    """

    contexts: Contexts
    row: Int[Tensor, " rows"]
    target: Int[Tensor, " rows"]
    weight: Float[Tensor, " rows"]
    forbidden: Bool[Tensor, "contexts services"] | None

    @classmethod
    def of(cls, dataset: Dataset, rows: Rows, mask: DagMask | None, *, distinct: bool) -> "Batch":
        """Return the given pairs as a batch.

        Parameters
        ----------
        rows
            Row numbers of ``dataset.pairs``.
        mask
            None for a model without DAG mask.
        distinct
            True: equal pairs become one weighted row and every context is encoded once. False: one
            row and one encoding per pair, as the paper has it. Same loss, more work.
        """
        pairs = dataset.pairs.take(rows)
        weighted = pairs.distinct() if distinct else pairs.repeated()
        entries, row = encode_once(weighted, distinct=distinct)
        contexts = Contexts.of(dataset.contexts, entries)
        return cls(
            contexts,
            torch.from_numpy(row),
            torch.from_numpy(weighted.target).long(),
            torch.from_numpy(weighted.weight),
            None if mask is None else mask.forbidden(contexts.last),
        )


def encode_once(
    pairs: WeightedPairs, *, distinct: bool = True
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int32]], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return the context entries to encode, and which of them each pair refers to."""
    if distinct:
        entries, row = np.unique(pairs.context, return_inverse=True)
        return entries, row.astype(np.int64)
    return pairs.context, np.arange(len(pairs.context))
