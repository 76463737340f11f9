"""What the processes of ``hydra/launcher=pool`` hand back."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import OmegaConf

from dagrec_cli.jobs import pool


def test_what_a_process_hands_back_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may import Hydra's plugins anew, and then no config of it pickles."""
    ended = JobReturn(cfg=OmegaConf.create(), status=JobStatus.COMPLETED)
    ended.return_value = lambda: None  # as little to be pickled
    monkeypatch.setattr(pool, "run_job", lambda **_: ended)
    config = OmegaConf.create({"hydra": {"job": {}}})
    loader: Any = SimpleNamespace(load_sweep_config=lambda *_: config)
    context = HydraContext(loader, Callbacks())
    instances = Singleton.get_state()["instances"]
    pool._Worker.begin(context, lambda _: None, config, instances)
    handed = pool._Worker.run([], 0)
    assert pickle.loads(pickle.dumps(handed)) is JobStatus.COMPLETED


def test_a_call_hands_over_no_more_than_its_words() -> None:
    """What fills the pipe of the calls hangs Pythons before 3.11.5 when a process dies."""
    call = pickle.dumps((pool._Worker.run, ["trainer.epochs=2", "hydra.sweep.subdir=0"], 0))
    assert len(call) < 500
