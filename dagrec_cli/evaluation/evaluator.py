"""Outcomes of test pairs and scores of contexts, with their mask and in bounded memory."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias, TypeGuard

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Pairs, Rows
from dagrec_cli.data.unseen import NONE, as_model_reads
from dagrec_cli.errors import TrainingError
from dagrec_cli.evaluation.ranks import RAN_AWAY, UNRANKED, Outcomes, RuledOut, outcomes
from dagrec_cli.models.base import Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.dag_mask import DENSE_PER_CHOICE, AllowedServices

PairInts: TypeAlias = Int[np.ndarray, " pairs"]

CONTEXTS_AT_ONCE = 4096
SCORES_AT_ONCE = 4_000_000  # and those of one context on top


class Scores(NamedTuple):
    """What a model thinks of all services after some contexts.

    Attributes
    ----------
    own
        Its scores, unmasked.
    ruled_out
        True where the mask rules a service out; None if the model asks for no mask.
    """

    own: Float[np.ndarray, "contexts services"]
    ruled_out: RuledOut

    @property
    def masked(self) -> Float[np.ndarray, "contexts services"]:
        """The scores, minus infinity where the mask rules a service out."""
        return self.own if self.ruled_out is None else np.where(self.ruled_out, -np.inf, self.own)


class Evaluation(NamedTuple):
    """What a model made of test pairs, one entry per pair.

    Attributes
    ----------
    outcomes
        Prediction and rank.
    probability
        The target's share of the softmax over all services, or over those that the mask allows.
    confidence
        That of the first service; None if it is not what the model believes.
    """

    outcomes: Outcomes
    probability: Float[np.ndarray, " pairs"]
    confidence: Float[np.ndarray, " pairs"] | None


@torch.no_grad()
def score_contexts(model: Model, contexts: Contexts) -> Scores:
    """Return the scores of every service after each context, and what the model's mask forbids.

    All are scored together.
    """
    model.eval()
    choices = model.hard_mask.choices(contexts.last) if model.hard_mask else None
    return _score_table(model, contexts, choices)


@torch.no_grad()
def evaluate_model(
    model: Model, dag: ContextDag, pairs: Pairs, owner: NDArray[np.int32] | None = None
) -> Evaluation:
    """Return a model's outcomes on one pair or more; each distinct context is scored once.

    Contexts are taken in parts of :data:`SCORES_AT_ONCE` scores. Where the mask leaves few
    services, no other is scored, except after contexts that have a target which is ruled out: ranks
    within the mask are those in the whole catalogue, since all others come below.

    Parameters
    ----------
    owner
        Of each pair, by the model's number; None where the model reads none.
    """
    model.eval()
    contexts, row = Contexts.asked(dag, pairs.context, owner)
    order = np.argsort(row, kind="stable")
    parts = []
    for start, stop in pairwise(_cuts(model, dag.node[contexts.entries])):
        pair = order[slice(*np.searchsorted(row, (start, stop), sorter=order))]
        some = contexts.take(slice(start, stop))
        parts.append(_evaluate(model, some, row[pair] - start, pairs.target[pair]))
    return joined(parts, order)


def evaluate_rows(model: Model, dataset: Dataset, rows: Rows) -> Evaluation:
    """Return a model's outcomes on pairs of data in its numbers, whatever it knows of them.

    What becomes of names that it has never seen: :mod:`dagrec_cli.data.unseen`.
    """
    pairs = dataset.pairs.take(rows)
    contexts, entry = as_model_reads(dataset)
    context, n_services = entry[pairs.context], model.facts.n_services
    is_left, is_lost = context != NONE, pairs.target >= n_services
    predicted, better = np.zeros((2, len(rows)), np.int64)
    tied = np.full(len(rows), n_services - 1)
    probability, confidence = np.full((2, len(rows)), 1 / n_services)
    if is_left.any():
        known = Pairs(context, np.where(is_lost, 0, pairs.target), pairs.composition)
        owner = dataset.owner_as_read[pairs.composition[is_left]]
        found, *chances = evaluate_model(
            model, contexts, known.take(np.flatnonzero(is_left)), owner
        )
        predicted[is_left], better[is_left], tied[is_left] = found[1:]
        probability[is_left], confidence[is_left] = chances
    better[is_lost], tied[is_lost], probability[is_lost] = UNRANKED, 0, 0
    believed = confidence if model.is_probabilistic else None
    return Evaluation(Outcomes(pairs.target, predicted, better, tied), probability, believed)


def probabilities(
    scores: Float[np.ndarray, "contexts services"],
) -> Float[np.ndarray, "contexts services"]:
    """Return the softmax of each score row; a masked service has probability 0.

    Raises
    ------
    TrainingError
        If the best score of a row is no finite number, so that it has none.
    """
    best = scores.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():
        raise TrainingError(RAN_AWAY)
    with np.errstate(over="ignore"):  # such a difference is minus infinity, whose share is 0
        shifted = np.exp(scores - best)
    chance: Float[np.ndarray, "contexts services"] = shifted / shifted.sum(axis=1, keepdims=True)
    return chance


def _cuts(model: Model, last: NDArray[np.int32]) -> list[int]:
    """Return where to cut contexts with the given last nodes; the first cut is 0."""
    n_services = model.facts.n_services
    cost = np.full(len(last), n_services)
    if model.hard_mask and _scores_lists(model):
        size, _ = model.facts.graph.followers(last)
        cost = DENSE_PER_CHOICE * np.where(size, size, n_services)  # a table may have so many
    total = np.maximum(cost, SCORES_AT_ONCE // CONTEXTS_AT_ONCE).cumsum()
    inner = np.flatnonzero(np.diff((total - 1) // SCORES_AT_ONCE)) + 1
    return [0, *inner.tolist(), len(last)]


def _scores_lists(model: Model) -> TypeGuard[TorchModel]:
    """Return whether a model's head is all that scores, so that it can score services alone."""
    return isinstance(model, TorchModel) and not model.priors


def _evaluate(
    model: Model,
    contexts: Contexts,
    row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
) -> Evaluation:
    """Return the outcomes of pairs that refer to rows of a few contexts."""
    choices = model.hard_mask.choices(contexts.last) if model.hard_mask else None
    if choices is None or choices.is_dense or not _scores_lists(model):
        scores = _score_table(model, contexts, choices)
        chance = probabilities(scores.masked)
        found = outcomes(scores.own, row, target, scores.ruled_out)
        return Evaluation(found, chance[row, target], chance[row, found.predicted])
    return _evaluate_lists(model, contexts, choices, row, target)


def _score_table(model: Model, contexts: Contexts, choices: AllowedServices | None) -> Scores:
    scores: Tensor = model(contexts.to(model.device)).cpu()
    return Scores(scores.numpy(), None if choices is None else choices.forbidden.numpy())


def _evaluate_lists(
    model: TorchModel,
    contexts: Contexts,
    choices: AllowedServices,
    row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
) -> Evaluation:
    states = model.states(contexts.to(model.device))
    parts, order = [], []
    is_below: Bool[np.ndarray, " pairs"] = np.zeros(len(row), bool)
    for part, *where in choices.split(torch.from_numpy(row)):
        pair, place = (each.numpy() for each in where)
        truth = target[pair]
        listed = part.classes.to(states.device)
        scores = model.head.listed(states[part.context], listed).cpu().numpy()
        column, is_listed = (each.numpy() for each in part.find(where[1], torch.from_numpy(truth)))
        found = outcomes(scores, place, column)
        whole = found._replace(target=truth, predicted=part.classes.numpy()[place, found.predicted])
        chance = probabilities(scores)
        of_target = np.where(is_listed, chance[place, column], 0)
        parts.append(Evaluation(whole, of_target, chance[place, found.predicted]))
        order.append(pair)
        is_below[pair] = ~is_listed
    evaluation = joined(parts, np.concatenate(order))
    below = np.flatnonzero(is_below)
    for chosen, better, tied in _ranks_below(model, states, choices, row[below], target[below]):
        evaluation.outcomes.better[below[chosen]] = better
        evaluation.outcomes.tied[below[chosen]] = tied
    return evaluation


def _ranks_below(
    model: TorchModel,
    states: Tensor,
    choices: AllowedServices,
    row: Int[np.ndarray, " pairs"],
    target: Int[np.ndarray, " pairs"],
) -> Iterator[tuple[PairInts, PairInts, PairInts]]:
    """Yield which pairs, how many services are better and how many tie, of ruled out targets.

    Their place depends on the scores of all that is ruled out, so whole rows are scored, no more
    than :data:`SCORES_AT_ONCE` scores at a time.
    """
    distinct, place = np.unique(row, return_inverse=True)
    order = np.argsort(place, kind="stable")
    at_once = max(1, SCORES_AT_ONCE // choices.n_services)
    for start in range(0, len(distinct), at_once):
        contexts = torch.from_numpy(distinct[start : start + at_once])
        pair = order[slice(*np.searchsorted(place, (start, start + at_once), sorter=order))]
        scores = model.head(states[contexts.to(states.device)]).cpu().numpy()
        ruled_out = choices.of(contexts).forbidden.numpy()
        found = outcomes(scores, place[pair] - start, target[pair], ruled_out)
        yield pair, found.better, found.tied


def joined(parts: list[Evaluation], order: NDArray[np.int64]) -> Evaluation:
    """Return parts as one; ``order`` says which pair each of their entries is."""
    back = np.argsort(order)
    columns = zip(*((*part.outcomes, *part[1:]) for part in parts), strict=True)
    *four, probability, confidence = (np.concatenate(column)[back] for column in columns)
    return Evaluation(Outcomes(*four), probability, confidence)
