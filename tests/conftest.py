"""Fixtures that many tests share. Shapes in signatures are checked wherever tests run."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from jaxtyping import install_import_hook
from omegaconf import DictConfig, OmegaConf

# Before any module is imported; with the numeric tower an int is a float, as mypy has it.
# A Protocol in a signature must be @runtime_checkable. Checks take a fifth of a training's time, so
# modules without a shape are left to mypy.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
ROOT = Path(__file__).parents[1]
SHAPED = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in sorted((ROOT / "dagrec_cli").rglob("*.py"))
    if "from jaxtyping import" in file.read_text(encoding="utf-8")
]
install_import_hook(SHAPED, CHECKER)

from dagrec_cli.config.build import build  # noqa: E402
from dagrec_cli.config.where import config_dir  # noqa: E402
from dagrec_cli.data.composition import Composition, Context, Invalid  # noqa: E402
from dagrec_cli.data.dataset import Dataset, build_dataset  # noqa: E402
from dagrec_cli.promises.worlds import (  # noqa: E402
    BRANCHING,
    PREFIX,
    Records,
    composition_of,
)
from dagrec_cli.runs.run import Run  # noqa: E402
from dagrec_cli.training.trainer import Trainer  # noqa: E402
from hand_made import write_run  # noqa: E402

torch.set_num_threads(1)

DAY = 86_400.0

Compose = Callable[..., Composition]
DatasetOf = Callable[..., Dataset]
Config = Callable[..., DictConfig]


def prepare_records(
    compositions: Sequence[Composition | Invalid], context: Context = "path", **rules: Any
) -> Dataset:
    return build_dataset(Records([*compositions], context, **rules))


@cache
def group_config(group: str, option: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        node: DictConfig = compose("train", [f"{group}={option}"])[group]
    return node


def config_with(group: str, option: str, **settings: object) -> DictConfig:
    node = OmegaConf.merge(group_config(group, option), settings)
    assert isinstance(node, DictConfig)
    return node


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGREC_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("DAGREC_DEBUG", raising=False)
        yield


@pytest.fixture(autouse=True)
def _real_data_where_marked(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show this machine's data to tests marked ``real`` alone; the others pass without, or fail."""
    if request.node.get_closest_marker("real") is None:
        monkeypatch.delenv("DAGREC_DATA_DIR", raising=False)
    elif "DAGREC_DATA_DIR" not in os.environ:
        pytest.skip("real data: set DAGREC_DATA_DIR to its folder")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs, to be copied: making one takes seconds."""
    for package in ("mlflow", "sqlalchemy"):
        pytest.importorskip(package, reason="logger=mlflow needs its extra")
    from dagrec_cli.loggers.mlflow import _connect

    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    _connect(f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture(scope="session", autouse=True)
def _hear_ctrl_c() -> Iterator[None]:
    """Take SIGINT as from a terminal, also where the tests were started to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def walks() -> Compose:
    """A function of walks: ``walks("t1 s1 s2", "t1 s2", time=0.0)`` is one composition."""
    return composition_of


@pytest.fixture(scope="session")
def dataset_of() -> DatasetOf:
    """A function of compositions, of ``max_paths``, and of ``context``: paths unless told."""
    return prepare_records


@pytest.fixture(scope="session")
def config() -> Config:
    """A function of group, option and settings: the node that ``dagrec train`` composes."""
    return config_with


@pytest.fixture(scope="session")
def compositions() -> list[Composition]:
    """Chains, branches, a repetition, a service called twice, a table inside; one each day.

    Favourite target: service_7, the last class; service_6 only starts paths.
    """
    return [composition_of(*each, time=day * DAY) for day, each in enumerate(BRANCHING)]


@pytest.fixture(scope="session")
def random_compositions() -> list[Composition]:
    """200 DAGs of two to nine nodes with few names, so that contexts recur; a third are chains."""
    rng = np.random.default_rng(0)
    drawn = []
    for number in range(200):
        n = int(rng.integers(2, 10))
        forward = [(a, b) for b in range(n) for a in range(b)]
        links = {forward[k] for k in rng.integers(len(forward), size=n + 2)}
        if number % 3 == 0:
            links = set(pairwise(range(n)))
        place = rng.permutation(n).tolist()
        names = rng.integers(1, 4, size=n).tolist()
        is_service = (rng.random(n) < 0.7).tolist()
        drawn.append(
            Composition(
                tuple(PREFIX["ts"[s]] + str(k) for k, s in zip(names, is_service, strict=True)),
                tuple(is_service),
                tuple((place[a], place[b]) for a, b in links),
            )
        )
    return drawn


@pytest.fixture(scope="session")
def tiny(compositions: list[Composition]) -> Dataset:
    """The data set of ``compositions``."""
    return prepare_records(compositions)


@pytest.fixture(scope="session")
def geoportal() -> Dataset:
    """The data behind the paper's tables; mark the test ``real``."""
    if "DAGREC_DATA_DIR" not in os.environ:
        pytest.skip("real data: set DAGREC_DATA_DIR to its folder")
    return build_dataset(build(config_with("data", "geoportal", context="path"), "data"))


@pytest.fixture(scope="session")
def ctrl_c_in() -> Callable[..., Any]:
    """A function of an epoch, counted over all seeds: a patch that presses Ctrl-C as it begins."""

    def pressed(epoch: int, times: int = 1) -> Any:
        plain, calls = Trainer._epoch, count(1)

        def train(*arguments: Any) -> float:
            if next(calls) == epoch:
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)
            return plain(*arguments)

        return patch.object(Trainer, "_epoch", train)

    return pressed


@pytest.fixture(scope="session")
def run_of() -> Callable[..., Run]:
    """A function of a folder and what is to be in it: the run that it then holds."""
    return write_run
