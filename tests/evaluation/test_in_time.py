"""Counts looked up by time, against a model fitted anew for every moment."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.evaluation.evaluator import evaluate_rows
from dagrec_cli.evaluation.in_time import check_in_time, evaluate_in_time
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.experiment.fit import count
from dagrec_cli.models.base import CountingModel, Facts
from dagrec_cli.training.split_data import SplitData

Config = Callable[..., DictConfig]


def fitted(name: str, data: SplitData, config: Config, rows: np.ndarray) -> Outcomes:
    """Return what a model makes of rows that is fitted on the training rows alone."""
    model: CountingModel = build(config("model", name, mask="none"), "model", data.facts)
    count(model, data, 1.0)
    return evaluate_rows(model, data.dataset, rows).outcomes


@pytest.mark.parametrize(("name", "delay"), [("backoff", 0), ("backoff", 2), ("recency", 2)])
def test_each_step_is_what_a_model_gives_that_is_fitted_on_what_was_known(
    dataset_of: Callable[..., Dataset],
    random_compositions: list[Composition],
    config: Config,
    name: str,
    delay: int,
) -> None:
    rng = np.random.default_rng(delay)
    start = rng.integers(0, 25, 60).astype(float)
    end = np.where(rng.random(60) < 0.2, np.nan, start + rng.integers(-1, 8, 60))
    drawn = [
        each._replace(start_time=a, end_time=None if np.isnan(b) else b)
        for each, a, b in zip(random_compositions, start, end, strict=False)
    ]
    dataset = dataset_of(drawn, context="dag")
    split = build(config("split", "prequential", blocks="each", delay=f"{delay}s"), "split")
    data = SplitData.of(dataset, split)
    assert data.stream is not None
    model = build(config("model", name, mask="none"), "model", data.facts)
    found = evaluate_in_time(model, data.dataset, data.test, data.stream, 1.0).outcomes
    started = dataset.start_time[dataset.pairs.composition]
    ended = np.fmax(started, dataset.end_time[dataset.pairs.composition])
    place = {row: k for k, row in enumerate(data.test.tolist())}
    n_compared, n_lost, n_leaked = 0, 0, 0
    for moment in np.unique(started):
        known = np.flatnonzero((started < moment) & (ended + delay <= moment))
        rows = np.flatnonzero(started == moment)
        if not len(known):
            assert not place.keys() & {*rows.tolist()}
            continue
        small = dataset.known_by(dataset.vocabulary_of(known))
        fit = replace(
            data,
            dataset=small,
            train=known,
            units=None,  # with units UNKNOWN nodes have counts
            facts=Facts(small.vocabulary.of_model, small.graph_of_model(None), small.followed),
        )
        expected = fitted(name, fit, config, rows)
        names = np.array(small.vocabulary.services)
        at = [place[row] for row in rows.tolist()]
        services = np.array(data.dataset.vocabulary.services)
        assert services[found.target[at]].tolist() == names[expected.target].tolist()
        assert found.better[at].tolist() == expected.better.tolist()
        assert found.tied[at].tolist() == expected.tied.tolist()
        first = (expected.better == 0) & (expected.tied == 0)
        assert ((found.predicted == found.target)[at] == first)[expected.tied == 0].all()
        n_compared += len(rows)
        n_lost += (~expected.is_ranked).sum()
        seen, asked = (np.stack(dataset.pairs.take(some)[:2]).T.tolist() for some in (known, rows))
        n_leaked += sum(pair in seen for pair in asked)
    assert n_compared == len(data.test)
    assert n_lost > 0 or delay
    assert data.leakage.pairs == pytest.approx(n_leaked / n_compared)


def test_what_cannot_be_looked_up_by_time_is_refused(tiny: Dataset, config: Config) -> None:
    split = build(config("split", "prequential", blocks="each"), "split")
    with pytest.raises(ConfigError, match=r"no pair is held out for validation; use model=backoff"):
        SplitData.of(tiny, split).validated(split, 0.2)
    data = SplitData.of(tiny, split)
    for other, mask in (("markov", "none"), ("backoff", "hard")):
        model = build(config("model", other, mask=mask), "model", data.facts)
        with pytest.raises(ConfigError, match="use model=backoff or recency with"):
            check_in_time(model)
