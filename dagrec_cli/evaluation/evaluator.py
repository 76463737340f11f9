"""Outcomes of test pairs and scores of contexts, masked and in bounded memory."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextTrie
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.evaluation.ranks import Outcomes, outcomes
from dagrec_cli.models.base import Model, TorchModel
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.models.layers.dag_mask import DENSE_PER_CHOICE, Choices

CONTEXTS_AT_ONCE = 4096
SCORES_AT_ONCE = 4_000_000  # and those of one context on top


class Evaluation(NamedTuple):
    """What a model made of test pairs, one entry per pair.

    Attributes
    ----------
    outcomes
        Prediction and rank.
    probability
        The target's share of the softmax over all services, or over those that the mask allows.
    """

    outcomes: Outcomes
    probability: Float[np.ndarray, " pairs"]


@torch.no_grad()
def score_contexts(
    model: Model, trie: ContextTrie, entries: NDArray[np.int32]
) -> Float[np.ndarray, "contexts services"]:
    """Return the scores of every service after each context, masked if the model asks for it.

    Parameters
    ----------
    trie, entries
        The contexts, as entries of a trie; all are scored together.
    """
    model.eval()
    contexts = Contexts.of(trie, entries)
    choices = model.mask.choices(contexts.last) if model.mask else None
    return _table(model, contexts, choices)


@torch.no_grad()
def evaluate_model(model: Model, trie: ContextTrie, pairs: Pairs) -> Evaluation:
    """Return a model's outcomes on one pair or more; each distinct context is scored once.

    Contexts are taken in parts of :data:`SCORES_AT_ONCE` scores. Where the mask leaves few
    services, no other is scored: ranks within the mask are those in the whole catalogue, at whose
    bottom all others tie.
    """
    model.eval()
    entries, row = np.unique(pairs.context, return_inverse=True)
    order = np.argsort(row, kind="stable")
    parts = []
    for start, stop in pairwise(_cuts(model, trie.node[entries])):
        mine = order[slice(*np.searchsorted(row, (start, stop), sorter=order))]
        contexts = Contexts.of(trie, entries[start:stop])
        parts.append(_evaluate(model, contexts, row[mine] - start, pairs.target[mine]))
    return _joined(parts, order)


def probabilities(
    scores: Float[np.ndarray, "contexts services"],
) -> Float[np.ndarray, "contexts services"]:
    """Return the softmax of each score row; a masked service has probability 0."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    chance: Float[np.ndarray, "contexts services"] = shifted / shifted.sum(axis=1, keepdims=True)
    return chance


def _cuts(model: Model, last: NDArray[np.int32]) -> list[int]:
    """Return where to cut contexts with the given last nodes; the first cut is 0."""
    n_services = model.facts.n_services
    cost = np.full(len(last), n_services)
    if model.mask and isinstance(model, TorchModel):
        size, _ = model.facts.graph.followers(last)
        cost = DENSE_PER_CHOICE * np.where(size, size, n_services)  # a table may have so many
    total = np.maximum(cost, SCORES_AT_ONCE // CONTEXTS_AT_ONCE).cumsum()
    inner = np.flatnonzero(np.diff((total - 1) // SCORES_AT_ONCE)) + 1
    return [0, *inner.tolist(), len(last)]


def _evaluate(
    model: Model,
    contexts: Contexts,
    row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
) -> Evaluation:
    """Return the outcomes of pairs that refer to rows of a few contexts."""
    choices = model.mask.choices(contexts.last) if model.mask else None
    if choices is None or choices.is_dense or not isinstance(model, TorchModel):
        scores = _table(model, contexts, choices)
        return Evaluation(outcomes(scores, row, target), probabilities(scores)[row, target])
    return _evaluate_lists(model, contexts, choices, row, target)


def _table(model: Model, contexts: Contexts, choices: Choices | None) -> NDArray[np.float32]:
    scores: Tensor = model(contexts.to(model.device)).cpu()
    if choices is not None:
        scores = scores.masked_fill(choices.forbidden, -torch.inf)
    table: NDArray[np.float32] = scores.numpy()
    return table


def _evaluate_lists(
    model: TorchModel,
    contexts: Contexts,
    choices: Choices,
    row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
) -> Evaluation:
    states, n_services = model.encode(contexts.to(model.device)), choices.n_services
    parts, order = [], []
    for part, *where in choices.split(torch.from_numpy(row)):
        mine, place = (each.numpy() for each in where)
        own = target[mine]
        listed = part.classes.to(states.device)
        scores = model.head.listed(states[part.context], listed).cpu().numpy()
        column, is_listed = (each.numpy() for each in part.find(where[1], torch.from_numpy(own)))
        found = outcomes(scores, place, column)
        size = (part.classes < n_services).sum(dim=1).numpy()[place]
        whole = Outcomes(
            own,
            part.classes.numpy()[place, found.predicted],
            np.where(is_listed, found.better, size),
            np.where(is_listed, found.tied, n_services - size - 1),
        )
        chance = probabilities(scores)[place, column]
        parts.append(Evaluation(whole, np.where(is_listed, chance, 0)))
        order.append(mine)
    return _joined(parts, np.concatenate(order))


def _joined(parts: list[Evaluation], order: NDArray[np.int64]) -> Evaluation:
    """Return parts as one; ``order`` says which pair each of their entries is."""
    back = np.argsort(order)
    columns = zip(*((*part.outcomes, part.probability) for part in parts), strict=True)
    *four, probability = (np.concatenate(column)[back] for column in columns)
    return Evaluation(Outcomes(*four), probability)
