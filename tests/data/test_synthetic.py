from collections import Counter, defaultdict
from itertools import islice
from time import perf_counter

import numpy as np
import pytest
from omegaconf import OmegaConf

from dagrec_cli.config.build import build as build_node
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.composition import Composition, check_acyclic
from dagrec_cli.data.synthetic import Synthetic
from dagrec_cli.data.synthetic_truth import apportion, make_distinct
from dagrec_cli.errors import ConfigError, DataError

Step = tuple[tuple[str, ...], str]  # a path so far and the name that follows


def build(name: str = "synthetic", **changes: object) -> Synthetic:
    settings = OmegaConf.to_container(OmegaConf.load(config_dir() / "data" / f"{name}.yaml"))
    assert settings.pop("_target_") == "dagrec_cli.data.synthetic.Synthetic"
    assert set(changes) <= set(settings)
    return Synthetic(**{**settings, **changes})


def steps(composition: Composition) -> list[Step]:
    """Return every link once, so that a prefix that paths share counts once."""
    walked = {0: (composition.names[0],)}
    found = []
    for source, target in composition.links:  # in order of depth
        found.append((walked[source], composition.names[target]))
        walked[target] = (*walked[source], composition.names[target])
    assert len(walked) == len(composition.names)
    return found


def all_steps(source: Synthetic) -> list[Step]:
    return [step for composition in source.read() for step in steps(composition)]


def count_by(key, pairs):
    counts = defaultdict(Counter)
    for context, target in pairs:
        counts[key(context)][target] += 1
    return counts


@pytest.mark.parametrize("seed", [8, 0, 1])  # 8 is the YAML's
def test_default_has_the_papers_counts(seed):
    compositions = list(build(seed=seed).read())
    nodes = {
        name: is_service
        for composition in compositions
        for name, is_service in zip(composition.names, composition.is_service, strict=True)
    }
    starts = {composition.names[0] for composition in compositions}
    targets = {target for composition in compositions for _, target in steps(composition)}
    assert Counter(len(composition.names) for composition in compositions) == {2: 886, 3: 41, 4: 16}
    assert sum(len(steps(composition)) for composition in compositions) == 1016
    assert {name for name in nodes if not nodes[name]} == {f"table_{k}" for k in range(1, 35)}
    assert {name for name in nodes if nodes[name]} == {f"service_{k}" for k in range(1, 17)}
    assert len(targets) == 15
    assert {name for name in starts if nodes[name]} == {"service_16"}
    assert "service_16" not in targets
    lengths = [len(composition.names) for composition in compositions]
    assert lengths != sorted(lengths)  # the order is shuffled


def test_default_leaves_room_between_the_last_node_and_the_context():
    # The best function of the last node is chosen on the test pairs themselves, so it flatters.
    source = build()
    pairs = all_steps(source)
    rows = np.random.RandomState(42).permutation(len(pairs))  # the paper's split
    n_test = int(np.ceil(0.3 * len(pairs)))
    test, train = [pairs[k] for k in rows[:n_test]], [pairs[k] for k in rows[n_test:]]
    services = sorted({target for _, target in pairs})
    best = source.truth.probabilities([context for context, _ in test], services).argmax(axis=1)
    targets = [target for _, target in test]
    ceiling = np.mean([services[k] == target for k, target in zip(best, targets, strict=True)])
    last_node = count_by(lambda context: context[-1], test)
    order_1 = sum(max(counts.values()) for counts in last_node.values()) / n_test
    popular = Counter(target for _, target in train).most_common(1)[0][0]
    long = count_by(lambda context: context[-2:], train)
    short = count_by(lambda context: context[-1], train)
    guesses = [
        (long.get(context[-2:]) or short[context[-1]]).most_common(1)[0][0] for context, _ in test
    ]
    order_2 = np.mean([guess == target for guess, target in zip(guesses, targets, strict=True)])
    assert (n_test, len(train)) == (305, 711)
    assert 0.6 < ceiling < 0.75
    assert ceiling - order_1 > 0.03
    assert ceiling - order_2 < 0.02
    assert np.mean([target == popular for target in targets]) < ceiling - 0.3


def test_frequencies_agree_with_the_truth():
    source = build(compositions=60_000, lengths={2: 1, 5: 1}, branching=0.2)
    services = [f"service_{k}" for k in range(1, 16)]
    seen = count_by(tuple, all_steps(source))
    contexts = [context for context, counts in seen.items() if counts.total() >= 300]
    counts = np.array([[seen[context][service] for service in services] for context in contexts])
    totals = counts.sum(axis=1, keepdims=True)
    truth = source.truth.probabilities(contexts, services)
    assert {len(context) for context in contexts} == {1, 2, 3, 4}
    assert not counts[truth == 0].any()
    expected = (totals * truth)[truth > 0]
    chi_square = ((counts[truth > 0] - expected) ** 2 / expected).sum()
    freedom = int((truth > 0).sum()) - len(contexts)
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_truth_spells_the_settings():
    truth = build().truth
    services = [f"service_{k}" for k in range(1, 17)]
    contexts = [("table_1",), ("table_7",), ("table_1", "service_3"), ("service_16", "service_2")]
    probabilities = truth.probabilities(contexts, services)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(4))
    assert (probabilities > 0).sum(axis=1).tolist() == [6] * 4  # candidates
    assert probabilities.max(axis=1) == pytest.approx([0.97, 0.57, 0.97, 0.97])
    assert not probabilities[:, 15].any()  # service_16 only starts paths
    backwards = truth.probabilities(contexts, services[::-1])
    assert (backwards == probabilities[:, ::-1]).all()
    some = truth.probabilities(contexts, ["service_2", "no such service"])
    assert some[:, 0].tolist() == probabilities[:, 1].tolist()
    assert not some[:, 1].any()


def test_order_matters():
    services = [f"service_{k}" for k in range(1, 16)]
    truth = build().truth
    # Six deep first nodes are of six groups, so each wants another service after service_1.
    contexts = [(f"table_{k}", "service_1") for k in range(1, 7)]
    assert len(set(truth.probabilities(contexts, services).argmax(axis=1))) == 6
    # The same nodes in another order.
    walks = [(a, b) for a in services[:6] for b in services[:6] if a < b]
    one = truth.probabilities([("table_1", a, b, "service_1") for a, b in walks], services)
    other = truth.probabilities([("table_1", b, a, "service_1") for a, b in walks], services)
    assert (one.argmax(axis=1) != other.argmax(axis=1)).mean() > 0.5


def test_memory_reaches_as_far_as_it_says():
    services = [f"service_{k}" for k in range(1, 16)]
    contexts = [(f"table_{k}", "service_1", "service_2", "service_3") for k in range(1, 7)]
    n_distinct = [
        len(set(build(memory=memory).truth.probabilities(contexts, services).argmax(axis=1)))
        for memory in (0, 2, 3)
    ]
    assert n_distinct[:2] == [1, 1]
    assert n_distinct[2] > 1


def test_unknown_nodes_are_named():
    with pytest.raises(DataError, match=r"contexts\[1\]: node 'table_99' is not"):
        build().truth.probabilities([("table_1",), ("table_1", "table_99")], ["service_1"])
    with pytest.raises(DataError, match=r"contexts\[0\] is empty"):
        build().truth.probabilities([()], ["service_1"])


def test_settings_decide_every_composition():
    changes = {"branching": 0.3, "compositions": 200}
    once = list(build(**changes).read())
    source = build(**changes)
    assert list(source.read()) == list(source.read()) == once
    assert source.sha256() == build(**changes).sha256()
    for other in (build(**changes, seed=9), build(**changes, sharpness_start=0.5)):
        assert list(other.read()) != once
        assert other.sha256() != source.sha256()


def test_seed_decides_the_law():
    services = [f"service_{k}" for k in range(1, 16)]
    contexts = [(f"table_{k}",) for k in range(1, 35)]
    one, same, other = (
        build(seed=seed).truth.probabilities(contexts, services) for seed in (8, 8, 9)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_every_first_node_occurs_however_skewed():
    starts = Counter(composition.names[0] for composition in build(start_skew=5.0).read())
    assert len(starts) == 35
    assert starts["table_34"] == 1
    assert starts["table_1"] > 800


def test_trees_are_valid_and_end_at_their_depth():
    source = build(compositions=300, lengths={3: 1, 8: 2}, branching=0.4)
    depths, forked = Counter(), 0
    for composition in source.read():
        n_nodes = len(composition.names)
        assert composition.links
        assert not check_acyclic(n_nodes, composition.links, composition.names, "tree")
        assert [target for _, target in composition.links] == list(range(1, n_nodes))
        assert all(composition.is_service[1:])
        parents = {parent for parent, _ in composition.links}
        depth = [1]
        for parent, _ in composition.links:
            depth.append(depth[parent] + 1)
        ends = {depth[node] for node in range(n_nodes) if node not in parents}
        assert len(ends) == 1
        depths[ends.pop()] += 1
        forked += n_nodes - 1 - len(parents)
    steps_taken = sum(len({link[0] for link in c.links}) for c in source.read())
    assert depths == {3: 100, 8: 200}
    assert forked / steps_taken == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(("max_paths", "n_paths"), [(10_000, 32), (5, 4), (1, 1)])
def test_trees_stay_under_max_paths(max_paths, n_paths):
    source = build(compositions=3, lengths={6: 1}, branching=1.0, max_paths=max_paths)
    for composition in source.read():
        parents = {parent for parent, _ in composition.links}
        assert len(composition.names) - len(parents) == n_paths


def test_galaxy_has_the_shape_it_says():
    # Published: 136,808 paths, 1.28 million pairs (one per path and step), up to 25 nodes.
    n_paths = n_pairs = deepest = 0
    names: set[str] = set()
    for composition in build("synthetic_galaxy").read():
        depth = [1]
        for parent, _ in composition.links:
            depth.append(depth[parent] + 1)
        parents = {parent for parent, _ in composition.links}
        ends = [depth[node] for node in range(len(depth)) if node not in parents]
        n_paths += len(ends)
        n_pairs += sum(ends) - len(ends)
        deepest = max(deepest, *ends)
        names.update(composition.names)
        assert len(ends) <= 10_000
    assert n_paths == pytest.approx(136_808, rel=0.03)
    assert n_pairs == pytest.approx(1_280_000, rel=0.03)
    assert deepest == 25
    assert 1450 < sum(name.startswith("service_") for name in names) <= 1500


def test_large_settings_stay_fast():
    source = build(compositions=2_000_000, services=100_000, tables=5_000)
    began = perf_counter()
    first = list(islice(source.read(), 100_000))
    assert perf_counter() - began < 5  # about 0.6 s; a step in Python per draw would take longer
    assert len({composition.names[1] for composition in first}) > 3_000
    services = [first[0].names[1], "service_100000"]
    assert source.truth.probabilities([first[0].names[:1]], services)[0, 0] > 0


def test_apportion_takes_the_largest_remainders():
    # 10 * [.45, .35, .2] = [4.5, 3.5, 2]; the first of two equal remainders wins.
    assert apportion(np.array([0.45, 0.35, 0.2]), 10).tolist() == [5, 3, 2]
    # One each, then 4 * [.75, .25, 0].
    assert apportion(np.array([3.0, 1.0, 0.0]), 7, at_least=1).tolist() == [4, 2, 1]
    assert apportion(np.array([886.0, 41.0, 16.0]), 943).tolist() == [886, 41, 16]


def test_make_distinct_takes_the_next_free_service():
    rows = np.array([[2, 2, 2], [0, 1, 0], [3, 1, 2]])
    assert make_distinct(rows, 4).tolist() == [[2, 3, 0], [0, 1, 2], [3, 1, 2]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compositions": 0}, "data.compositions is 0; use a whole number of 1 or more."),
        ({"services": 1}, "data.services is 1; use a whole number of 2 or more."),
        ({"candidates": 16}, "data.candidates is 16; use 15 or less with 34 tables and 16 serv"),
        ({"deep_starts": 36}, "data.deep_starts is 36; use 35 or less"),
        ({"starting_services": 15}, "data.starting_services is 15; use 14 or less"),
        ({"branching": 1.5}, "data.branching is 1.5; use a number from 0 to 1."),
        ({"service_skew": -1}, "data.service_skew is -1; use a number of 0 or more."),
        ({"lengths": {1: 1}}, "data.lengths is {1: 1}; use path lengths of 2 or more nodes"),
        ({"lengths": {2: 0}}, "data.lengths is {2: 0}; use path lengths of 2 or more nodes"),
        ({"lengths": {}}, "data.lengths is {}; use path lengths of 2 or more nodes"),
        ({"groups": 300}, "data.groups ** data.memory is 300**2; lower one until it is 65536"),
        ({"on_invalid": "stop"}, "data.on_invalid is 'stop'; use one of error, skip."),
    ],
)
def test_settings_out_of_range_are_named(changes, message):
    node = OmegaConf.create({**OmegaConf.load(config_dir() / "data" / "synthetic.yaml"), **changes})
    with pytest.raises(ConfigError) as error:
        build_node(node, "data")
    assert str(error.value).startswith(message)
