"""Blocks of time: what each may know, against plain Python."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data import held_out
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.prequential import PrequentialSplit
from dagrec_cli.errors import ConfigError, DataError
from dagrec_cli.training.split_data import SplitData

DatasetOf = Callable[..., Dataset]
Config = Callable[..., DictConfig]
Walks = Callable[..., Composition]
LENGTHS = {1: "t1 s1", 2: "t1 s1 s2", 3: "t1 s1 s2 s1'"}
spans = st.tuples(st.integers(0, 12), st.none() | st.integers(-2, 6), st.sampled_from([1, 2, 3]))


def parts_of(config: Config, blocks: int, delay: str) -> list[PrequentialSplit]:
    return [
        build(config("split", "prequential", blocks=blocks, delay=delay, part=part), "split")
        for part in range(blocks - 1)
    ]


@settings(deadline=None, max_examples=100)
@given(st.lists(spans, min_size=2, max_size=12), st.integers(2, 4), st.sampled_from([0, 1, 3]))
def test_a_block_knows_what_had_ended_before_it_began(
    walks: Walks,
    dataset_of: DatasetOf,
    config: Config,
    drawn: list[tuple[int, int | None, int]],
    blocks: int,
    delay: int,
) -> None:
    whole = [walks("t2 s1", "t2 s2", time=float(start)) for start in (0, 12)]
    compositions = whole + [walks(LENGTHS[n], time=float(start)) for start, _, n in drawn]
    dataset = dataset_of(compositions)
    dataset.end_time[2:] = [np.nan if d is None else start + d for start, d, _ in drawn]
    n_pairs = len(dataset.pairs.context)
    parts = parts_of(config, blocks, f"{delay}s")
    try:
        sides = [part.split(dataset) for part in parts]
    except DataError:
        assume(False)
    start = [dataset.start_time[c] for c in dataset.pairs.composition]
    known = [np.fmax(dataset.end_time[c], dataset.start_time[c]) for c in dataset.pairs.composition]
    tested = np.concatenate([each.held_out for each in sides]).tolist()
    assert len(set(tested)) == len(tested)
    first = min(start[row] for row in tested)
    assert sorted(tested) == [row for row in range(n_pairs) if start[row] >= first]
    largest = max(start.count(moment) for moment in start)
    for each in sides:
        begins = min(start[row] for row in each.held_out)
        assert each.kept.tolist() == [
            row for row in range(n_pairs) if start[row] < begins and known[row] + delay <= begins
        ]
        assert abs(len(each.held_out) - n_pairs / blocks) <= largest


def test_the_latest_share_is_that_of_the_temporal_split(tiny: Dataset, config: Config) -> None:
    latest = build(config("split", "temporal"), "split").split(tiny).held_out.tolist()
    words = {"test_share": 0.3, "blocks": 2}
    parts = [build(config("split", "prequential", part=k, **words), "split") for k in range(2)]
    blocks = [part.split(tiny).held_out.tolist() for part in parts]
    assert [*blocks[0], *blocks[1]] == latest
    assert all(blocks)
    each = build(config("split", "prequential", test_share=0.3, blocks="each"), "split")
    assert each.chosen is None
    assert each.split(tiny).held_out.tolist() == latest
    with pytest.raises(ConfigError, match=r"split.part is 2; use a number from 0 to 1"):
        build(config("split", "prequential", part=2, **words), "split")


def test_blocks_of_one_moment_and_delays_are_refused(
    walks: Walks, dataset_of: DatasetOf, config: Config
) -> None:
    dataset = dataset_of([walks("t1 s1 s2", time=float(k > 0)) for k in range(9)])
    with pytest.raises(DataError, match=r"split.blocks is 3, but only 2 of them would have a step"):
        parts_of(config, 3, "0s")[0].split(dataset)
    (alone,) = parts_of(config, 2, "0s")
    assert alone.chosen is None
    assert alone.split(dataset).kept.tolist() == [0, 1]
    for blocks in (2, "each"):
        split = build(config("split", "prequential", blocks=blocks, delay="2s"), "split")
        with pytest.raises(DataError, match=r"no composition had ended 2 s .* use a shorter delay"):
            split.split(dataset)
    for delay in ("1", "1.5h", "-1s", "1w"):
        with pytest.raises(ConfigError, match=f"split.delay is '{delay}'; use a whole number and"):
            parts_of(config, 3, delay)
    with pytest.raises(ConfigError, match=r"split.part is 1; use 0 or null"):
        build(config("split", "prequential", blocks=2, part=1), "split")


def test_what_is_held_out_for_validation_is_the_latest_that_is_known(
    tiny: Dataset, config: Config
) -> None:
    (*_, last) = parts_of(config, 4, "1d")
    data = SplitData.of(tiny, last).validated(last, 0.3)
    time = [tiny.start_time[tiny.pairs.composition[rows]] for rows in (data.train, data.validation)]
    assert time[0].max() < time[1].min()
    assert data.part is not None
    assert (data.part.number, data.part.of, data.part.is_pooled) == (2, 3, True)
    assert held_out.told([data.held_out["test"]]) == [
        "Warning: 11 compositions of 11 have no end: their start is taken for it."
    ]
    assert data.held_out["validation"].asked == 0.3


def test_what_ends_as_it_starts_is_known_after_that_moment(
    walks: Walks, dataset_of: Callable[..., Dataset], config: Config
) -> None:
    """The first is not known to the second, which starts with it and ends as the third starts."""
    dataset = dataset_of([walks(f"t1 s{k}", time=time) for k, time in enumerate((0.0, 0.0, 5.0))])
    dataset.end_time[:] = [0, 5, np.nan]
    split: PrequentialSplit = build(
        config("split", "prequential", blocks="each", delay="0s"), "split"
    )
    stream = split.stream(dataset)
    assert stream is not None
    assert (stream.known.tolist(), stream.limit.tolist()) == ([0, 1, 2], [0, 0, 2])
