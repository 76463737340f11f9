"""Why: what models rest their scores on, against the steps themselves."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.queries import About, Query
from dagrec_cli.evaluation.why import EarlierSteps, Explainer, Why
from dagrec_cli.models.base import CountingModel, Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import RowCounts

Counted = Callable[..., CountingModel]
Cut = tuple[int, frozenset["Cut"]]


def cut(dag: ContextDag, entry: int, generations: int) -> Cut:
    """Return a context cut off some generations up, as the tree that one would draw."""
    _, parents = dag.parents_of(np.array([entry], np.int32))
    above = parents.tolist() if generations > 1 else []
    return int(dag.node[entry]), frozenset(cut(dag, parent, generations - 1) for parent in above)


def asked(dag: ContextDag, entry: int) -> Query:
    leads = dag.ancestors(np.array([entry], np.int32)).tolist()
    _, parents = zip(*dag.items(), strict=True)
    keys = [(int(dag.node[e]), *map(leads.index, parents[e])) for e in leads]
    return Query(About(), [keys])


def explained(model: Model, dataset: Dataset, step: int = 9) -> Iterator[tuple[int, Why]]:
    """Yield some contexts that a service follows, and why it does."""
    rows = np.arange(len(dataset.pairs.context))
    places = [f"c{k}" for k in range(dataset.n_compositions)]
    explain = Explainer(model, EarlierSteps(dataset, rows, places))
    for entry in np.unique(dataset.pairs.context)[::step].tolist():
        yield entry, explain(asked(dataset.contexts, entry), [0, 2])


def test_counts_and_earlier_steps_are_those_of_the_same_generations(
    counted: Counted, merging: Dataset
) -> None:
    model, dag, pairs = counted("backoff", merging), merging.contexts, merging.pairs
    services = merging.vocabulary.services
    deepest = set()
    for entry, why in explained(model, merging, 3):
        last = why.counts[-1]
        assert last.generations == dag.depth[entry] == why.earlier.generations
        own = cut(dag, entry, last.generations)
        alike = np.array(
            [
                dag.depth[c] >= last.generations and cut(dag, c, last.generations) == own
                for c in pairs.context.tolist()
            ]
        )
        assert last.seen == why.earlier.steps == alike.sum()
        target, composition = pairs.target[alike], pairs.composition[alike]
        assert why.earlier.compositions == len(set(composition.tolist()))
        most = np.bincount(target, minlength=len(services))
        assert last.then == {
            services[c]: most[c] for c in np.argsort(-most, kind="stable")[:5] if most[c]
        }
        for example in why.earlier.examples:
            there = target[composition == int(example.composition[1:])].tolist()
            assert example.then == {services[c]: there.count(c) for c in there}
        first = next(iter(why.earlier.examples)).then
        assert (services[0] in first) == (0 in target)  # what is recommended first comes first
        assert last.nodes[0] == [merging.vocabulary.nodes[dag.node[entry] - 1]]
        deepest.add(last.generations)
    assert len(deepest) > 3


def test_network_and_counts_multiply_to_the_model(
    scrambled: Callable[..., TorchModel], merging: Dataset
) -> None:
    model = scrambled("gru4rec", merging, mask="prior")
    contexts, pairs = Contexts.of_pairs(merging, np.arange(len(merging.pairs.context)))
    assert model.prior is not None
    RowCounts(model.prior, pairs.distinct(), contexts, "row")
    for entry, why in explained(model, merging):
        scores = model(Contexts(merging.contexts, np.array([entry], np.int32)))[0]
        chance = scores.detach().softmax(0)
        services = [merging.vocabulary.services[c] for c in (0, 2)]
        product = [why.parts["network"][s] * why.parts["counts"][s] for s in services]
        assert product[0] / product[1] == pytest.approx(float(chance[0] / chance[2]), rel=1e-3)
        assert why.counts[-1].seen == why.earlier.steps


def test_neighbours_that_vote_are_named(counted: Counted, merging: Dataset) -> None:
    model, pairs, services = (
        counted("vsknn", merging),
        merging.pairs,
        merging.vocabulary.services,
    )
    for entry, why in explained(model, merging):
        nodes = merging.vocabulary.spell(sorted(set(merging.contexts.spell(entry))))
        itself = [each for each in why.neighbours if each.similarity == pytest.approx(1)]
        assert nodes in [each.nodes for each in itself]
        target = pairs.target[pairs.context == entry].tolist()
        assert {services[c]: target.count(c) for c in target} in [each.then for each in itself]


@pytest.mark.parametrize(("name", "generations"), [("popularity", [0]), ("gru4rec", [1])])
def test_a_model_without_a_table_names_what_it_knows(
    counted: Counted,
    scrambled: Callable[..., TorchModel],
    merging: Dataset,
    name: str,
    generations: list[int],
) -> None:
    """The counts of targets, or the known edges."""
    model = counted(name, merging) if name == "popularity" else scrambled(name, merging)
    node, pairs = merging.contexts.node, merging.pairs
    for entry, why in explained(model, merging):
        assert [each.generations for each in why.counts] == generations
        follows = node[pairs.context] == node[entry]
        assert why.counts[0].seen == (follows.sum() if generations == [1] else len(pairs.target))
        assert why.parts == {}


def test_what_nothing_followed_is_said(counted: Counted, merging: Dataset) -> None:
    model = counted("backoff", merging, np.arange(1))
    explain = Explainer(model, None, "no such file")
    other = merging.contexts.node[merging.pairs.context[0]] % len(merging.vocabulary.nodes) + 1
    why = explain(Query(About(), [[(int(other),)]]), [0])
    assert [(each.generations, each.seen > 0) for each in why.counts] == [(0, True), (1, False)]
    assert (why.earlier, why.not_shown) == (None, "no such file")
    assert torch.is_grad_enabled()
