"""Loggers get told everything, once; none of them can take the training with it."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import ConfigError
from dagrec_cli.loggers.base import RunLogger, SafeLogger, params_of, scores_of
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request
from hand_made import finished_result, stopped_result

OPTIONS = sorted(file.stem for file in (config_dir() / "logger").glob("*.yaml"))
PACKAGES = {"csv": [], "tensorboard": ["tensorboard"], "mlflow": ["mlflow", "sqlalchemy"]}
NOTHING = Request({}, [])

Config = Callable[..., DictConfig]
Row = dict[str, float]


def row(epoch: int) -> Row:
    return {"epoch": epoch, "loss": 1 / epoch, "seconds": 0.5, "validation_hr@1": 0.25}


ROWS = [row(epoch) for epoch in range(1, 6)]
RESULT = finished_result(7)
SETTINGS = {
    "model": {"_target_": "dagrec_cli.x", "hidden": 8, "lengths": {"2": 5}},
    "logger": {"_target_": "dagrec_cli.y"},
    "seeds": [7],
    "resume": None,
}


@pytest.fixture(autouse=True)
def _below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=OPTIONS)
def option(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    for package in PACKAGES.get(request.param, []):
        pytest.importorskip(package, reason=f"logger={request.param} needs its extra")
    if request.param == "mlflow":
        (tmp_path / "outputs").mkdir()
        shutil.copy(request.getfixturevalue("empty_store"), tmp_path / "outputs/mlflow.db")
    return str(request.param)


@pytest.fixture
def begun(config: Config, tmp_path: Path) -> Callable[[str], Any]:
    """A function of an option: its logger, which has begun in the folder ``run``."""

    def begin(option: str) -> RunLogger:
        logger: RunLogger = build(config("logger", option), "logger")
        request = Request({"model": "gru4rec", "logger": option}, ["model=gru4rec"])
        logger.begin(RunFolder(tmp_path / "run"), OmegaConf.create(SETTINGS), request)
        return logger

    return begin


def test_params_are_flat_and_say_nothing_of_the_logger() -> None:
    request = Request({"model": "gru4rec", "logger": "csv"}, [])
    assert params_of(OmegaConf.create(SETTINGS), request) == {
        "model": "gru4rec",
        "model.hidden": 8,
        "model.lengths.2": 5,
        "seeds": "[7]",
    }


def test_scores_have_names_that_every_tool_takes() -> None:
    scores = scores_of(RESULT)
    assert (scores["hr_at_1"], scores["hr_at_1_low"], scores["hr_at_1_high"]) == (0.5, 0.25, 0.75)
    assert len(scores) == 3 * len(METRICS)  # of one seed there is no deviation


# Every option.


def test_every_option_is_a_logger(begun: Callable[[str], Any], option: str) -> None:
    logger = begun(option)
    assert isinstance(logger, RunLogger)
    logger.end(stopped_result(ValueError("x")))


def test_a_counting_model_has_no_epochs(
    begun: Callable[[str], Any], option: str, tmp_path: Path
) -> None:
    begun(option).end(RESULT)
    assert not list(tmp_path.rglob("tensorboard/seed_*"))


@pytest.mark.parametrize("option", [name for name in OPTIONS if PACKAGES.get(name)])
def test_a_missing_package_is_one_line(
    config: Config, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    name = "dagrec_cli.loggers.base.find_spec"
    monkeypatch.setattr(name, lambda package: None)
    with pytest.raises(ConfigError, match=rf"needs \w+; .*pip install .*\[{option}\]'\.$"):
        build(config("logger", option), "logger")


# SafeLogger.


class Broken(RunLogger):
    """Fails when told of the second epoch."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        self.told.append("begin")

    def epochs(self, seed: int, rows: Any) -> None:
        self.told.append(len(rows))
        if len(rows) == 2:
            raise sqlite3.OperationalError("database\nis locked")

    def end(self, result: Any) -> None:
        self.told.append(result)

    def end_sweep(self, folder: RunFolder) -> None:
        raise ConnectionError("no answer")


def test_a_broken_logger_is_told_nothing_more(tmp_path: Path) -> None:
    said: list[str] = []
    broken = Broken()
    with SafeLogger(said.append) as logger:
        logger.begin(broken, RunFolder(tmp_path), OmegaConf.create(), NOTHING)
        for n in (1, 2, 3):
            logger.epochs(0, ROWS[:n])
        logger.end(RESULT)
    assert broken.told == ["begin", 1, 2]
    assert said == [
        "Broken stopped (OperationalError: database is locked); the run continues without it."
    ]


def test_a_sweep_ends_whatever_its_logger_does(tmp_path: Path) -> None:
    said: list[str] = []
    SafeLogger(said.append).end_sweep(Broken(), RunFolder(tmp_path))
    assert said == ["Broken stopped (ConnectionError: no answer); the run continues without it."]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (KeyboardInterrupt("by hand"), ("interrupted", "by hand")),
        (KeyboardInterrupt(), ("interrupted", "interrupted")),
        (ZeroDivisionError(), ("failed", "ZeroDivisionError")),
    ],
)
def test_a_run_that_stops_is_ended(
    tmp_path: Path, reason: BaseException, expected: tuple[str, str]
) -> None:
    broken = Broken()
    logger = SafeLogger(print)
    logger.begin(broken, RunFolder(tmp_path), OmegaConf.create(), NOTHING)
    with pytest.raises(type(reason)), logger:
        raise reason
    begin, result = broken.told
    assert (begin, result.status, result.error) == ("begin", *expected)


def test_what_stops_before_it_began_is_told_to_nobody() -> None:
    with pytest.raises(KeyboardInterrupt), SafeLogger(print):
        raise KeyboardInterrupt


# tensorboard.


def events_of(folder: Path) -> Any:
    module = "tensorboard.backend.event_processing.event_multiplexer"
    multiplexer = pytest.importorskip(module, reason="logger=tensorboard needs its extra")
    found = multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    found.Reload()
    return found


def curve_of(events: Any, seed: int, name: str = "loss") -> list[tuple[int, float]]:
    return [(e.step, round(e.value, 4)) for e in events.Scalars(f"seed_{seed}", name)]


EXPECTED = [(int(r["epoch"]), round(r["loss"], 4)) for r in ROWS]


def test_events_are_those_of_the_run(begun: Callable[[str], Any], tmp_path: Path) -> None:
    events_of(tmp_path)  # skips
    logger = begun("tensorboard")
    for n in range(1, 6):
        logger.epochs(7, ROWS[:n])
    assert curve_of(events_of(tmp_path / "run/tensorboard"), 7) == EXPECTED  # while it runs
    logger.epochs(7, ROWS)
    logger.end(RESULT)
    events = events_of(tmp_path / "run/tensorboard")
    assert curve_of(events, 7) == EXPECTED
    assert {value for _, value in curve_of(events, 7, "validation_hr_at_1")} == {0.25}
    assert [e.value for e in events.Scalars(".", "hr_at_1_low")] == [0.25]
    assert hparams_of(events) == ({"model": "gru4rec", "model.hidden": 8.0}, True)


def hparams_of(events: Any) -> tuple[dict[str, Any], bool]:
    """Return two of the settings, and whether the session is over."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    tags = events.GetAccumulator(".").PluginTagToContent("hparams")
    content = HParamsPluginData.FromString(tags["_hparams_/session_start_info"])
    found = content.session_start_info.hparams
    settings = {
        "model": found["model"].string_value,
        "model.hidden": found["model.hidden"].number_value,
    }
    return settings, "_hparams_/session_end_info" in tags


def test_a_resumed_run_has_every_epoch_once_in_its_events(
    begun: Callable[[str], Any], tmp_path: Path
) -> None:
    events_of(tmp_path)  # skips
    first = begun("tensorboard")
    first.epochs(7, ROWS[:4])
    first.end(stopped_result(KeyboardInterrupt("by hand")))
    assert not hparams_of(events_of(tmp_path / "run/tensorboard"))[1]
    second = begun("tensorboard")  # from the checkpoint of epoch 2
    for n in (3, 4, 5):
        second.epochs(7, ROWS[:n])
    second.end(RESULT)
    events = events_of(tmp_path / "run/tensorboard")
    assert curve_of(events, 7) == EXPECTED
    assert hparams_of(events)[1]
