"""The services that a model recommends, best first, for a stream of queries in bounded memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec.structs import asdict

from dagrec_cli.data.composition import CLOSING
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.naming import NAMED
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.queries import About, Asked, Query
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.unseen import NONE, as_asked, as_model_reads
from dagrec_cli.evaluation.evaluator import Scores, probabilities, score_contexts
from dagrec_cli.evaluation.why import Why
from dagrec_cli.models.base import Model
from dagrec_cli.models.context_batch import Contexts

SaysWhy = Callable[[Query, Sequence[int]], Why | None]  # of a query and the classes recommended

QUERIES = 1024  # scored together at most
HELD_NODES = 100_000  # in padded rows that are scored together, where one query does not hold more
HELD_SCORES = 2_000_000  # scores that are held together, where one query does not need more


class Recommendation(msgspec.Struct, frozen=True):
    """One service of an answer.

    Attributes
    ----------
    service
        Its name.
    probability
        Its share of the softmax, in six digits; 0 if the model's mask rules it out.
    seen
        How often it was seen to follow the last node.
    allowed
        False if the model's mask rules it out.
    """

    service: str
    probability: float
    seen: int
    allowed: bool


class Answer(About, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """What is recommended, or why nothing is.

    Attributes
    ----------
    known_to_follow
        How many services are known to follow the last node; a mask rules nothing out if none is.
    services
        Best first, equal ones by name; those that the mask rules out come after all others.
    notes
        What one has to know of them, in sentences.
    error
        Why there are none.
    why
        What they rest on, if that was asked for.
    """

    known_to_follow: int | None = None
    services: list[Recommendation]
    notes: list[str] = msgspec.field(default_factory=list)
    error: str = ""
    why: Why | None = None


def recommend(
    model: Model,
    asked: Iterable[Asked],
    top_k: int,
    allowed: Bool[np.ndarray, " services"],
    explain: SaysWhy | None = None,
) -> Iterator[Answer]:
    """Yield the answer to each query, in order: ``top_k`` services, or all that there are.

    Probabilities are the softmax of the model's scores, over the valid services alone if
    the mask is hard; over several contexts of a query they are averaged.

    Parameters
    ----------
    asked
        Queries, and what cannot be answered.
    allowed
        Which services may be recommended. The others are left out of the ranking, and nothing else
        changes: probabilities stay those in the whole catalogue.
    explain
        What says why; None to leave it out.
    """
    for batch in _batches(asked, model.facts.n_services):
        queries = [each for each in batch if isinstance(each, Query)]
        answers = iter(_answers(model, queries, top_k, allowed, explain) if queries else ())
        for each in batch:
            if isinstance(each, Query):
                yield next(answers)
            else:
                yield Answer(**asdict(each.about), error=each.problem, services=[])


def _answers(
    model: Model,
    queries: list[Query],
    top_k: int,
    allowed: Bool[np.ndarray, " services"],
    explain: SaysWhy | None,
) -> Iterator[Answer]:
    facts = model.facts
    dag, entries = as_asked(queries, facts.vocabulary)
    sizes = list(map(len, entries))
    owner = np.repeat(np.array([query.owner for query in queries], np.int32), sizes)
    contexts, row = Contexts.asked(dag, np.concatenate(entries), owner)
    scores = score_contexts(model, contexts)
    chance = probabilities(scores.masked)
    names = facts.vocabulary.services
    for query, asked, end in zip(queries, entries, np.cumsum(sizes), strict=True):
        of_query = row[end - len(asked) : end]
        mean = chance[of_query].mean(axis=0)
        # of all contexts of a query the last node is one, so a mask rules out the same after each
        ruled_out = None if scores.ruled_out is None else scores.ruled_out[of_query[0]]
        best = _ranking(scores.own[of_query], ruled_out, mean)
        best = best[allowed[best]][:top_k]
        seen = facts.graph.times_seen(int(dag.node[asked[0]]), len(names))
        n_known = int(np.count_nonzero(seen))
        services = [
            Recommendation(
                names[c],
                float(f"{mean[c]:.6g}"),  # digits that do not depend on what is scored together
                int(seen[c]),
                ruled_out is None or not ruled_out[c],
            )
            for c in best
        ]
        notes = _notes(query.about, n_known)
        why = explain(query, best.tolist()) if explain else None
        if why and len(query.contexts) > 1:
            notes.append(f"Why is said of the first of {len(query.contexts):,} paths alone.")
        yield Answer(
            **asdict(query.about),
            known_to_follow=n_known,
            services=services,
            notes=notes,
            why=why,
        )


def _notes(about: About, n_known: int) -> list[str]:
    notes = []
    if taken := [f"{name} ({instead} is taken)" for name, instead in about.replaced.items()]:
        more = f", and {len(taken) - NAMED} more" if len(taken) > NAMED else ""
        notes.append(f"Not known: {', '.join(taken[:NAMED])}{more}.")
    if n_closing := about.dropped.get(CLOSING):
        notes.append(f"Left out: {CLOSING} ({n_closing:,}).")
    if not n_known:
        notes.append(f"No service is known to follow {about.last}: this ranks all of them.")
    return notes


def _ranking(
    own: Float[np.ndarray, "contexts services"],
    ruled_out: Bool[np.ndarray, " services"] | None,
    mean: Float[np.ndarray, " services"],
) -> Int[np.ndarray, " services"]:
    """Return all classes, best first, after the contexts of one query.

    Of one context the scores decide, as they do where a model is evaluated; of several the mean of
    the probabilities, which for what is ruled out are those that the model has without its mask.
    """
    if len(own) == 1:
        worth = own[0]
    elif ruled_out is None:
        worth = mean
    else:
        worth = np.where(ruled_out, probabilities(own).mean(axis=0), mean)
    return np.lexsort((-worth,) if ruled_out is None else (-worth, ruled_out))


def list_metrics(
    model: Model, dataset: Dataset, rows: Rows, metrics: Sequence[str]
) -> dict[str, float]:
    """Return figures of what a model recommends after the contexts of pairs, right or wrong.

    ``coverage@k`` is the share of the catalogue that is among the first k after some context.
    ``popularity@k`` is the mean, over pairs and the first k, of a service's rank by how often the
    model's graph has it as a target: 1 is the most frequent, equal ones share the mean of their
    ranks. Of equal scores the first in the catalogue comes first, as in ``predict``. Contexts of
    which the model knows nothing are left out.
    """
    pairs, n_services = dataset.pairs.take(rows), model.facts.n_services
    dag, entry = as_model_reads(dataset)
    read, owner = entry[pairs.context], dataset.owner_as_read[pairs.composition]
    contexts, row = Contexts.asked(dag, read[read != NONE], owner[read != NONE])
    cuts = {name: int(name.partition("@")[2]) for name in metrics}
    at_once, most = max(1, HELD_SCORES // n_services), max(cuts.values())
    lists: Int[np.ndarray, "contexts most"] = np.concatenate(
        [
            _first(score_contexts(model, contexts.take(slice(start, start + at_once))), most)
            for start in range(0, len(contexts), at_once)
        ]
    )
    rank = _popularity_rank(model.facts.graph, n_services)
    return {
        name: len(np.unique(lists[:, :k])) / n_services
        if name.startswith("coverage")
        else float(np.average(rank[lists[:, :k]].mean(axis=1), weights=np.bincount(row)))
        for name, k in cuts.items()
    }


def _first(scores: Scores, most: int) -> Int[np.ndarray, "contexts most"]:
    out = np.zeros_like(scores.own) if scores.ruled_out is None else scores.ruled_out
    order: Int[np.ndarray, "contexts services"] = np.lexsort((-scores.own, out))
    return order[:, :most]


def _popularity_rank(graph: ServiceGraph, n_services: int) -> Float[np.ndarray, " services"]:
    count = graph.popularity(n_services)
    _, place, n = np.unique(-count, return_inverse=True, return_counts=True)
    rank: Float[np.ndarray, " services"] = (np.cumsum(n) - (n - 1) / 2)[place]
    return rank


def _batches(asked: Iterable[Asked], n_services: int) -> Iterator[list[Asked]]:
    """Yield what is asked in lists that need little memory."""
    batch: list[Asked] = []
    n_contexts = longest = 0
    for each in asked:
        contexts = each.contexts if isinstance(each, Query) else []
        n_contexts += len(contexts)
        longest = max(longest, *map(len, contexts), 0)
        is_too_much = n_contexts * longest > HELD_NODES or n_contexts * n_services > HELD_SCORES
        if batch and (is_too_much or len(batch) == QUERIES):
            yield batch
            batch = []
            n_contexts, longest = len(contexts), max(map(len, contexts), default=0)
        batch.append(each)
    if batch:
        yield batch
