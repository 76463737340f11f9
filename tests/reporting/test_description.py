from collections.abc import Callable
from dataclasses import asdict

from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.description import Description, Times
from dagrec_cli.reporting.description import description_lines


def describe(dataset: Dataset, config: Callable[..., DictConfig], **split: object) -> Description:
    return Description.of(dataset, build(config("split", "paper", **split), "split"), "paper")


def test_counts_by_hand(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    """Paths t1 s1 s2 (twice), t1 s2, s3 s1; steps into services: 2 + 2 + 1 + 1."""
    drawn = [walks("t1 s1 s2"), walks("t1 s1 s2", "t1 s2"), walks("s3 s1")]
    found = describe(dataset_of(drawn), config, test_share=0.5)
    assert (found.compositions, found.left_out) == (3, "none")
    assert (found.context, found.duplicates, found.times) == ("path", 0, None)
    assert (found.steps, found.distinct_steps, found.distinct_contexts) == (6, 4, 3)
    assert (found.nodes, found.tables, found.services) == (4, 1, 3)
    assert (found.target_services, found.edges) == (2, 4)
    assert found.context_depths == {1: 4, 2: 2}
    assert found.targets == {"service_1": 3, "service_2": 3}
    assert (found.train_pairs, found.test_pairs) == (3, 3)
    assert (found.mask_graph, found.forbidden_test_targets) == ("all", 0)


def test_branches_and_merges_by_hand(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    """A diamond on which two services follow; two chains of one name; a chain, twice."""
    drawn = [
        walks("t1 s1 s3 s4", "t1 s2 s3 s5", time=0.0),
        walks("t1 s1 s2", "t1' s1' s2'", "t2 s2'"),
        walks("t1 s1 s2", time=100_000.0),
        walks("t1 s1 s2"),
    ]
    found = describe(dataset_of(drawn, context="dag"), config, test_share=0.5)
    assert (found.compositions, found.duplicates, found.steps) == (4, 1, 6 + 5 + 2 + 2)
    assert found.times == Times(2, 0.0, 100_000.0, 100_000.0, 100_000.0, 0.0)
    assert (found.owners, found.unused) == ((), ("start times (split=temporal asks for them)",))
    assert found.shape is not None
    assert (found.shape.merging, found.warnings) == (0.5, ())
    # the inputs t1 and t1' of the second are taken for one, which then has two followers
    assert found.shape.branching == 0.5
    # by composition: t1 {1, 2}, s1, s2, s3 {4, 5}; t1 {1, 1}, s1 {2, 2}, t2; t1, s1; t1, s1
    assert found.shape.next_sets == {1: 2 + 1 + 2 + 2, 2: 4}
    lines = dict(description_lines(found))
    assert lines["times"] == (
        "2 of 4, 1970-01-01 to 1970-01-02; median gap 1.2 days, longest 1 days from 1970-01-01"
    )
    assert lines["next set size"] == "1: 7, 2: 4"
    assert (lines["branching"], lines["duplicates"]) == (
        "50% of the compositions (equal inputs are one)",
        "1 (25%)",
    )


def test_a_table_that_is_read_backwards_is_noticed(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    right = [walks("t1 s1 s2"), walks("t2 s2 s1")]
    wrong = [walks("s2 s1 t1"), walks("s1 s2 t2")]
    assert describe(dataset_of(right), config, test_share=0.5).warnings == ()
    found = describe(dataset_of(wrong), config, test_share=0.5)
    assert "tables only ever end links" in dict(description_lines(found))["warning"]


def test_a_mask_of_training_edges_forbids_what_only_the_test_knows(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    """Each target follows t1 once, so none that is tested was seen in training."""
    dataset = dataset_of([walks(f"t1 s{k}") for k in range(6)])
    found = describe(dataset, config, test_share=0.5, graph="train")
    assert (found.forbidden_test_targets, found.leaked_pairs, found.leaked_contexts) == (3, 0, 1)


def test_lines_are_for_reading(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    """Twenty targets: fifteen are named, the commonest first, ties by name."""
    drawn = [walks(f"t1 s{k}") for k in range(20)] + [walks("t1 s5")] * 3
    lines = dict(description_lines(describe(dataset_of(drawn), config)))
    assert lines["compositions"] == "23 (left out: none)"
    assert lines["steps"] == "23 (20 distinct)"
    targets = lines["targets"].splitlines()
    assert targets[0] == "service_5 4 (17.4%)"
    assert targets[-1] == "and 5 rarer ones"
    assert len(targets) == 16
    assert lines["split"] == "paper: 16 train, 7 test"
    assert lines["held out"] == "30.4% of the pairs (asked: 30%)"
    assert not {"groups", "warning"} & lines.keys()


def test_groups_and_what_is_wrong_with_them_are_described(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    """Eight of ten pairs are of equal compositions; what is left is less than was asked for."""
    dataset = dataset_of([*[walks("t1 s1")] * 8, walks("t1 s2"), walks("t1 s3")])
    found = Description.of(dataset, build(config("split", "composition"), "split"), "composition")
    lines = description_lines(found)
    assert ("split", "composition: 8 train, 2 test") in lines
    assert ("held out", "20.0% of the pairs (asked: 30%)") in lines
    assert ("groups", "3 groups, the largest has 80.0%") in lines
    warnings = [text for heading, text in lines if heading == "warning"]
    assert [text.split()[0] for text in warnings] == ["one", "all", "2"]
    assert asdict(found)["held_out"] == {
        "asked": 0.3,
        "share": 0.2,
        "groups": 3,
        "largest_group": 0.8,
        "warnings": tuple(warnings),
        "cold": None,
    }


def test_owners_are_counted_not_named(
    walks: Callable[..., Composition],
    dataset_of: Callable[..., Dataset],
    config: Callable[..., DictConfig],
) -> None:
    owners = ["ann", "bob", "bob", None, "bob"]
    unused = "owners (model.owner asks for them)"
    drawn = [
        walks("t1 s1 s2")._replace(owner=owner, end_time=end)
        for owner, end in zip(owners, (None, 5.0, None, None, 1.0), strict=True)
    ]
    found = describe(dataset_of(drawn), config)
    assert (found.owners, found.unused) == ((3, 1), (unused, "end times"))
    assert dict(description_lines(found))["owners"] == "2 of 4 compositions: 60.0%, 20.0%"
    assert dict(description_lines(found))["not used"] == f"{unused}, end times"
    assert "bob" not in str(found)
