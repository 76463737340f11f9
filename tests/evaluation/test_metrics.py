import doctest
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, ndcg_score, precision_recall_fscore_support

from dagrec_cli.config.kinds import check
from dagrec_cli.config.metric_names import MACRO, METRICS, Metric, metrics_of
from dagrec_cli.errors import ConfigError
from dagrec_cli.evaluation import metrics
from dagrec_cli.evaluation.metrics import evaluate, gains, macro_without_each
from dagrec_cli.evaluation.ranks import UNRANKED, Membership, Outcomes, outcomes

SEEDS = st.integers(0, 2**32 - 1)


def random_scores(seed):
    """Scores with many ties, one row per pair, and targets that leave some classes out."""
    rng = np.random.default_rng(seed)
    n_pairs, n_services = rng.integers(1, 40), rng.integers(2, 12)
    scores = rng.integers(0, rng.integers(1, 9), size=(n_pairs, n_services)) / 4
    return scores, rng.integers(n_services, size=n_pairs)


def random_outcomes(seed):
    scores, target = random_scores(seed)
    return outcomes(scores, np.arange(len(target)), target)


def take(pairs, rows):
    return Outcomes(*(column[rows] for column in pairs))


@settings(deadline=None)
@given(SEEDS)
def test_equals_scikit_learn(seed):
    scores, target = random_scores(seed)
    found = evaluate(outcomes(scores, np.arange(len(target)), target))

    predicted = scores.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        target, predicted, average="macro", zero_division=0
    )
    expected = {
        "accuracy": accuracy_score(target, predicted),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "ndcg": ndcg_score(np.eye(scores.shape[1])[target], scores),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-12)


def test_ndcg_equals_scikit_learn_on_a_large_catalogue():
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(8, 10_000)).round(3), rng.integers(10_000, size=8)
    found = gains(outcomes(scores, np.arange(8), target), "ndcg").value.mean()
    expected = ndcg_score(np.eye(10_000)[target], scores)
    assert found == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("scores", [[2, 2, 1, 2], [0, 0, 0, 0], [3, 2, 2, 1]])
def test_ties_give_the_mean_over_all_orders(scores):
    found = evaluate(outcomes(np.array([scores], dtype=float), np.array([0]), np.array([1])))
    ranks = np.array(
        [
            1 + sorted(range(4), key=lambda service: (-scores[service], order[service])).index(1)
            for order in permutations(range(4))
        ]
    )
    assert found["mrr"] == pytest.approx((1 / ranks).mean())
    assert found["ndcg"] == pytest.approx((1 / np.log2(1 + ranks)).mean())
    assert found["hr@1"] == pytest.approx((ranks <= 1).mean())
    assert found["hr@3"] == pytest.approx((ranks <= 3).mean())


@pytest.mark.parametrize("n_services", [3, 15])
def test_constant_scores_give_chance(n_services):
    rows, target = np.zeros(6, dtype=int), np.array([0, 1, 2, 2, 2, 1])
    found = evaluate(outcomes(np.full((1, n_services), 0.7), rows, target))
    ranks = np.arange(1, n_services + 1)
    assert found["mrr"] == pytest.approx((1 / ranks).mean())
    assert found["ndcg"] == pytest.approx((1 / np.log2(1 + ranks)).mean())
    for k in (1, 3, 5):
        assert found[f"hr@{k}"] == pytest.approx(min(k / n_services, 1))


def test_a_target_that_the_model_does_not_know_gains_nothing_and_stays_a_class():
    """Two pairs that are right, and a third whose target is class 9 of a catalogue of 2."""
    pairs = Outcomes(
        target=np.array([0, 1, 9]),
        predicted=np.array([0, 1, 1]),
        better=np.array([0, 0, UNRANKED]),
        tied=np.array([0, 0, 0]),
    )
    assert pairs.mean_rank.tolist() == [1, 1, np.inf]
    found = evaluate(pairs)
    gained = dict.fromkeys({*METRICS, "recall"} - {"precision", "f1"}, 2 / 3)  # recall: 1, 1, 0
    assert {name: found[name] for name in gained} == pytest.approx(gained)
    assert found["precision"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_targets_on_top_give_one_everywhere():
    found = evaluate(outcomes(np.eye(7), np.array([0, 4, 4, 6]), np.array([0, 4, 4, 6])))
    assert found == dict.fromkeys(METRICS, 1.0)


def by_definition(order, pairs, composition, context, k):
    """Cut metrics of one ranking per context: by step, and as the mean over compositions."""
    of_step, of_set = {}, {}
    for service, c, x in zip(pairs, composition, context, strict=True):
        rank = 1 + order[x].index(service) if service in order[x] else np.inf
        of_step.setdefault(c, []).append(
            (rank <= k) * np.array([1, 1 / rank, 1 / np.log2(1 + rank)])
        )
    for c in of_step:
        for x in sorted(set(context[composition == c])):
            follow = {int(s) for s in pairs[(composition == c) & (context == x)]}
            n_found = len(follow & set(order[x][:k]))
            of_set.setdefault(c, []).append((n_found > 0, n_found / len(follow)))
    both = [of_step, of_set]
    steps = [np.concatenate(list(each.values())).mean(axis=0) for each in both]
    means = [np.mean([np.mean(part, axis=0) for part in each.values()], axis=0) for each in both]
    return np.concatenate([*steps, *means])


@pytest.mark.parametrize("seed", range(12))
def test_cut_offs_and_next_sets_are_means_over_all_orders_of_ties(seed):
    """4 services of which a model does not know a fifth; half of them may be ruled out."""
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 12), int(rng.integers(1, 5))
    scores, target = rng.integers(0, 3, (3, 4)).astype(float), rng.integers(5, size=n)
    composition, context = rng.integers(3, size=n), rng.integers(3, size=n)
    out = rng.random((3, 4)) < 0.3
    pairs = outcomes(scores, context, np.minimum(target, 3), out)._replace(target=target)
    pairs.better[target == 4], pairs.tied[target == 4] = UNRANKED, 0

    def ranking(x, ties):
        return sorted(range(4), key=lambda s: (out[x, s], -scores[x, s], ties[s]))

    expected = np.mean(
        [
            by_definition([ranking(x, t) for x in range(3)], target, composition, context, k)
            for t in permutations(range(4))
        ],
        axis=0,
    )
    names = [f"{name}@{k}" for name in ("hr", "mrr", "ndcg", "hit", "recall")]
    belongs = Membership(composition, composition, context)
    found = [evaluate(pairs, names, belongs, average) for average in ("step", "composition")]
    assert [value for each in found for value in each.values()] == pytest.approx(expected)


def test_names_have_one_grammar():
    assert metrics_of(["ndcg@10", "hr@3", "ndcg@10"]) == ("ndcg@10",)  # beside the rest
    assert metrics_of("recall@5") == ("recall@5",)
    for name, near in {"ndgc@12": "ndcg@12", "hr10": "hr@10", "hits@5": "hit@5"}.items():
        with pytest.raises(ConfigError) as error:
            check("metric", name, Metric)
        assert str(error.value) == (
            f"metric is '{name}'; did you mean {near}? use one of {', '.join(METRICS)}, "
            "or ndcg, mrr, hr, hit, recall with a cut-off, such as ndcg@10."
        )
    for wrong in ("hr", "ndcg@0", "ndcg@01", "f1@3", "ndcg@", 5, None):
        with pytest.raises(ConfigError):
            check("metric", wrong, Metric)
    assert set(MACRO) < set(METRICS)


@settings(deadline=None)
@given(SEEDS)
def test_macro_averages_without_a_group_keep_its_classes(seed):
    pairs, rng = random_outcomes(seed), np.random.default_rng(seed)
    group = rng.integers(4, size=len(pairs.target))
    found = macro_without_each(pairs, group, 4)
    labels = np.unique([*pairs.target, *pairs.predicted])
    for k in range(4):
        rest = take(pairs, group != k)
        expected = (
            precision_recall_fscore_support(
                rest.target, rest.predicted, labels=labels, average="macro", zero_division=0
            )[:3]
            if len(rest.target)
            else (0, 0, 0)
        )
        assert [average[k] for average in found] == pytest.approx(expected, rel=0, abs=1e-12)


def test_no_pairs_are_refused():
    nothing = np.empty(0, dtype=int)
    with pytest.raises(ValueError, match="pair"):
        evaluate(outcomes(np.eye(3), nothing, nothing))


def test_examples_in_docstrings():
    shared = dict(vars(metrics))
    runner = doctest.DocTestRunner()
    examples = sorted(doctest.DocTestFinder().find(metrics))  # the module, with the pairs, is first
    for example in examples:
        example.globs = shared
        runner.run(example, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0
    documented = {example.name.rsplit(".", 1)[-1] for example in examples if example.examples}
    assert documented >= {"evaluate", "gains", "macro_averages", "macro_without_each"}
