"""The trials of a row: which settings, how long, and which one wins. Nothing is trained here."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import parameters_of
from dagrec_cli.config.kinds import check
from dagrec_cli.config.where import config_dir
from dagrec_cli.jobs.job import Job
from dagrec_cli.jobs.row_tuning import Ranges, RowTuning
from dagrec_cli.jobs.run import Engine
from dagrec_cli.jobs.search_space import SearchSpace
from dagrec_cli.runs.result import Finished
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import State

pytest.importorskip("optuna", reason="needs the extra 'search'")

Config = Callable[[str, str], DictConfig]
FILES = sorted((config_dir() / "search").glob("*.yaml"))


def parse(words: Sequence[str]) -> list[Override]:
    return OverridesParser.create().parse_overrides(list(words))


class Stub(Engine):
    """Stands for an engine and for what its jobs leave, of values from 0 to 19.

    By draw 1 of the validation pairs each is less by 10 where it is odd; by draw 2 all are 0.
    """

    def __init__(self, taken: int, failed: Sequence[str] = ()) -> None:
        self.taken, self.failed = taken, failed
        self.trained: list[dict[int, int]] = []

    def parse(self, words: Sequence[str]) -> list[Override]:
        return parse(words)

    def job(self, engine: "Stub", name: str, words: Sequence[str]) -> Job:
        given = dict(word.split("=", 1) for word in words)
        epochs = int(given.get("trainer.epochs", self.taken))
        config = OmegaConf.create({"trainer": {"epochs": epochs}})
        draw = given.get("trainer.validation_draw", "0")
        folder = Path(given.get("rate", "0"), str(epochs), draw)
        return Job(name, tuple(words), folder, config)

    def state(self, folder: Path) -> State:
        rate, epochs, draw = map(int, folder.parts)
        if f"{rate}/{draw}" in self.failed:
            return State("stopped", "no luck")
        model = SimpleNamespace(epochs=[epochs], best_epoch=[epochs // 2])
        value = (rate % 20 - 10 * (rate % 2) * draw) * (draw < 2)
        metrics = {"ndcg": {"mean": float(value)}}
        finished = Mock(spec=Finished, model=model, metrics=metrics)
        return State("finished", run=Mock(spec=Run, finished=finished))


@pytest.fixture
def tuning_of(
    monkeypatch: pytest.MonkeyPatch, config: Config
) -> Callable[..., tuple[RowTuning, list[list[str]]]]:
    """A function of a stub and a number: the tuning of a row with so many trials, all run."""

    def tuned(
        stub: Stub, n_trials: int, split: str = "temporal", **settings: float
    ) -> tuple[RowTuning, list[list[str]]]:
        monkeypatch.setattr("dagrec_cli.jobs.row_tuning.row_job", stub.job)
        monkeypatch.setattr("dagrec_cli.jobs.row_tuning.state_of", stub.state)
        trainer = {"monitor": "ndcg", "validation_share": 0.0, **settings}
        seeds = {"seed": 0, "seeds": [3, 4]}
        nodes = {"rate": 0, "trainer": trainer, "split": config("split", split)}
        row = OmegaConf.create({**seeds, **nodes})
        ranges = Ranges({"rate": "range(0,40)"})
        tuning = RowTuning(stub, Job("row", ("x=1",), Path("row"), row), ranges, n_trials)
        return tuning, [[str(job.folder) for job in batch] for batch in tuning.batches()]

    return tuned


def test_a_third_trains_longer(tuning_of: Any) -> None:
    tuning, batches = tuning_of(Stub(taken=90), 28)
    assert batches[0] == ["0/90/0"]
    assert [len(batch) for batch in batches[1:]] == [27, 9, 3]
    trained = [{folder.split("/")[1] for folder in batch} for batch in batches[1:]]
    assert trained == [{"10"}, {"30"}, {"90"}]
    value = [int(folder.split("/")[0]) % 20 for folder in batches[1]]
    kept = sorted(int(folder.split("/")[0]) % 20 for folder in batches[2])
    assert kept == sorted(value)[-9:]
    assert tuning.best.value == max(value)
    assert tuning.words == (f"rate={tuning.best.settings['rate']}", "trainer.epochs=45")


def test_what_counts_or_trains_shortly_is_not_pruned(tuning_of: Any) -> None:
    for taken, lengths in ((0, [1, 9]), (14, [1, 9])):
        assert [len(batch) for batch in tuning_of(Stub(taken), 10)[1]] == lengths
    tuning, _ = tuning_of(Stub(taken=12), 10, validation_share=0.1)
    assert tuning.words == (f"rate={tuning.best.settings['rate']}",)  # it finds its epochs itself


def test_a_trial_that_fails_is_out_and_a_row_that_fails_is_not_tried(tuning_of: Any) -> None:
    stub = Stub(taken=0, failed=["19/0", "39/0"])
    tuning, _ = tuning_of(stub, 40)
    assert tuning.best.value == 18
    tuning, batches = tuning_of(Stub(taken=0, failed=["0/0"]), 40)
    assert (len(batches), tuning.best, tuning.words) == (1, None, ())


def test_the_best_third_is_judged_by_three_draws(tuning_of: Any) -> None:
    tuning, batches = tuning_of(Stub(taken=90), 28, split="composition", validation_draw=0)
    assert [len(batch) for batch in batches] == [1, 27, 9, 3, 4, 4]
    whole = {"0/90", *(folder[:-2] for folder in batches[3])}
    for draw in (1, 2):
        assert set(batches[3 + draw]) == {f"{folder}/{draw}" for folder in whole}
    # 19 and 39 are the best by the first draw alone, and 14 of 40 trials are judged by all.
    tuning, batches = tuning_of(Stub(taken=0), 40, split="composition", validation_draw=0)
    assert [len(batch) for batch in batches] == [1, 39, 15, 15]
    assert int(tuning.best.settings["rate"]) % 20 == 18
    assert tuning.best.value == (18 + 18 + 0) / 3
    stub = Stub(taken=0, failed=["18/1", "38/2"])
    tuning, _ = tuning_of(stub, 40, split="composition", validation_draw=0)
    assert tuning.best.value == (16 + 16 + 0) / 3
    _, batches = tuning_of(Stub(taken=0), 9, split="composition", validation_draw=4)
    assert [{folder[-1] for folder in batch} for batch in batches[2:]] == [{"5"}, {"6"}]
    _, batches = tuning_of(Stub(taken=0), 40, split="composition")  # a trainer that has one draw
    assert [len(batch) for batch in batches] == [1, 39]


def test_a_whole_grid_and_the_first_of_more_draws() -> None:
    space = SearchSpace.of(parse(["a=choice(x,y)", "b=range(1,4)"]))
    every = [{"a": a, "b": b} for a in "xy" for b in (1, 2, 3)]
    assert space.draw(6, 0) == space.draw(99, 1) == every
    five = space.draw(5, 0)
    assert len({tuple(each.values()) for each in five}) == 5
    assert space.draw(3, 0) == five[:3] != space.draw(3, 1)
    several = SearchSpace.of(parse(["a=interval(0,1)", "b=range(1,4)"]))
    assert len(several.draw(50, 0)) == 50
    assert SearchSpace.of([]).draw(7, 0) == [{}]
    narrow = SearchSpace.of(parse(["a=interval(0.5,0.50001)"]))  # one number of four digits
    assert narrow.draw(2, 0) == [{"a": 0.5}]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_every_range_is_of_settings_that_can_be(config: Config, file: Path) -> None:
    ranges = Ranges.of(file.stem, [])
    assert ranges is not None
    groups = {"model": file.stem, "trainer": "mini_batch", "split": "composition"}
    kinds = {group: kinds_of(config(group, option)) for group, option in groups.items()}
    every = ranges.params | {k: v for more in ranges.where.values() for k, v in more.items()}
    space = SearchSpace.of(parse([f"{key}={value}" for key, value in every.items()]))
    assert space.ranges.keys() == every.keys()
    of_ranges = {k: getattr(d, "choices", None) or (d.low, d.high) for k, d in space.ranges.items()}
    conditions = (where.split("=") for where in ranges.where)
    for key, values in [*of_ranges.items(), *((key, [value]) for key, value in conditions)]:
        group, name = key.split(".")
        for value in values:
            given = yaml.safe_load(value) if isinstance(value, str) else value
            check(key, given, kinds[group][name])


def kinds_of(node: DictConfig) -> dict[str, Any]:
    module, _, name = node["_target_"].rpartition(".")
    return parameters_of(getattr(import_module(module), name))
