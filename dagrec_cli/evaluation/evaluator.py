"""Scores of contexts, masked and in bounded memory; evaluation and prediction share them."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from dagrec_cli.data.contexts import ContextTrie
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.evaluation.ranks import Outcomes, outcomes
from dagrec_cli.models.base import Model
from dagrec_cli.models.contexts import Contexts

CONTEXTS_AT_ONCE = 4096


class Evaluation(NamedTuple):
    """A model's outcomes on test pairs, and the scores they come from.

    Attributes
    ----------
    outcomes
        One entry per pair.
    scores
        Masked scores of each distinct context.
    row
        Which row of ``scores`` each pair refers to.
    """

    outcomes: Outcomes
    scores: Float[np.ndarray, "contexts services"]
    row: NDArray[np.int64]


@torch.no_grad()
def score_contexts(
    model: Model, trie: ContextTrie, entries: NDArray[np.int32]
) -> Float[np.ndarray, "contexts services"]:
    """Return the scores of every service after each context, masked if the model asks for it.

    Parameters
    ----------
    trie, entries
        The contexts, as entries of a trie.
    """
    model.eval()
    mask, device = model.mask, model.device
    parts = []
    for start in range(0, len(entries), CONTEXTS_AT_ONCE):
        contexts = Contexts.of(trie, entries[start : start + CONTEXTS_AT_ONCE]).to(device)
        scores = model(contexts)
        parts.append((mask(scores, contexts.last) if mask else scores).cpu().numpy())
    return np.concatenate(parts)


def evaluate_model(model: Model, trie: ContextTrie, pairs: Pairs) -> Evaluation:
    """Return a model's outcomes on pairs; each distinct context is scored once."""
    entries, row = np.unique(pairs.context, return_inverse=True)
    scores = score_contexts(model, trie, entries)
    return Evaluation(outcomes(scores, row, pairs.target), scores, row)


def probabilities(
    scores: Float[np.ndarray, "contexts services"],
) -> Float[np.ndarray, "contexts services"]:
    """Return the softmax of each score row; a masked service has probability 0."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    chance: Float[np.ndarray, "contexts services"] = shifted / shifted.sum(axis=1, keepdims=True)
    return chance
