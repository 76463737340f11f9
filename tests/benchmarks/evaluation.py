"""Ranks and metrics of test pairs, given the scores: one sort per pair against counting.

The plain way sorts the whole catalogue for every pair and adds metrics up in Python. The project
compares each distinct pair's target with the catalogue once.
"""

import math
from collections import Counter

import numpy as np
from jaxtyping import Float

from benchmarks.base import Benchmark, Case, require_close
from benchmarks.catalogue import sparse_catalogue
from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.data.pairs import Pairs
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import outcomes

CONTEXTS = 1000
SUCCESSORS = 10
TOLERANCE = 1e-9

Scores = Float[np.ndarray, "contexts services"]


class Evaluation(Benchmark):
    """Pairs of 1,000 contexts with 10 successors each; 15 services, as many as the paper has."""

    unit = "pairs"
    sizes = (10_000, 100_000)
    target = 10
    services = 15

    def case(self, size: int) -> Case:
        """Draw random scores, without ties, and pairs."""
        rng = np.random.default_rng(self.config.seed)
        dataset = sparse_catalogue(
            rng, contexts=CONTEXTS, services=self.services, successors=SUCCESSORS
        )
        scores = rng.random((CONTEXTS, self.services))
        pairs = dataset.pairs.take(rng.integers(len(dataset.pairs.context), size=size))

        def fast() -> dict[str, float]:
            return evaluate(outcomes(scores, pairs.context, pairs.target))

        def check() -> None:
            slow, quick = evaluate_plainly(scores, pairs), fast()
            for name in METRICS:
                require_close(name, slow[name], quick[name], TOLERANCE)

        return Case(lambda: evaluate_plainly(scores, pairs), fast, check)


class EvaluationLarge(Evaluation):
    """The same with 10,000 services."""

    services = 10_000


def evaluate_plainly(scores: Scores, pairs: Pairs) -> dict[str, float]:
    """Return every metric by sorting the catalogue once per pair; scores must not tie."""
    ranks: list[int] = []
    predicted: list[int] = []
    for context, target in zip(pairs.context, pairs.target, strict=True):
        row = scores[context]
        ascending = np.sort(row)
        ranks.append(len(row) - int(np.searchsorted(ascending, row[target])))
        predicted.append(int(np.argmax(row)))
    macro = _macro(pairs.target.tolist(), predicted)
    hits = {f"hr@{k}": sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 3, 5)}
    return {
        "accuracy": hits["hr@1"],
        **dict(zip(("precision", "recall", "f1"), macro, strict=True)),
        "ndcg": sum(1 / math.log2(1 + rank) for rank in ranks) / len(ranks),
        "mrr": sum(1 / rank for rank in ranks) / len(ranks),
        **hits,
    }


def _macro(target: list[int], predicted: list[int]) -> tuple[float, float, float]:
    """Return precision, recall and F1, averaged over the classes that occur."""
    support, claimed = Counter(target), Counter(predicted)
    right = Counter(t for t, p in zip(target, predicted, strict=True) if t == p)
    classes = support.keys() | claimed.keys()
    precision = [right[c] / claimed[c] if claimed[c] else 0.0 for c in classes]
    recall = [right[c] / support[c] if support[c] else 0.0 for c in classes]
    f1 = [2 * right[c] / (support[c] + claimed[c]) for c in classes]
    return tuple(sum(values) / len(classes) for values in (precision, recall, f1))  # type: ignore[return-value]
