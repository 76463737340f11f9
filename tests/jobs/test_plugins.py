"""What a config may have for a launcher, and what the processes of ``pool`` hand back."""

import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import OmegaConf

from dagrec_cli.config.compose import composed
from dagrec_cli.errors import ConfigError
from dagrec_cli.jobs import plugins

POOL, JOBLIB = "hydra/launcher=pool", "hydra/launcher=joblib"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hydra.launcher=null"], "hydra.launcher is null, no launcher of Hydra's; choose"),
        (["hydra.launcher._target_=os.system"], "hydra.launcher is 'os.system', no launcher"),
        (
            ["hydra.launcher._target_=hydra._internal.core_plugins.basic_sweeper.BasicSweeper"],
            "hydra.launcher is 'hydra._internal.core_plugins.basic_sweeper.BasicSweeper', no",
        ),
        (["+hydra.launcher.x=1"], "hydra.launcher.x is no setting of hydra/launcher=basic; it has"),
        ([POOL, "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0; use a whole number of 1"),
        (
            [POOL, "+hydra.launcher.jobs=2"],
            "hydra.launcher.jobs is no setting of hydra/launcher=pool; did you mean "
            "hydra.launcher.n_jobs? it has n_jobs.",
        ),
        ([JOBLIB, "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs is 0; use a whole number of "),
        (
            [JOBLIB, "hydra.launcher.n_jobs=-2", "+hydra.launcher.x=0"],
            "hydra.launcher.x is no setting of hydra/launcher=joblib",
        ),
    ],
)
def test_a_launcher_that_is_none_or_has_a_wrong_setting(words: list[str], line: str) -> None:
    """The last word is wrong; without it there is a launcher with its own settings."""
    if JOBLIB in words:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    plugins.register(plugins.PoolLauncher)
    plugins.check_plugin(composed("train", words[:-1]), "launcher", Launcher)
    with pytest.raises(ConfigError) as caught:
        plugins.check_plugin(composed("train", words), "launcher", Launcher)
    assert str(caught.value).startswith(line)


def test_what_a_process_hands_back_pickles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may import Hydra's plugins anew, and then no config of it pickles."""
    ended = JobReturn(cfg=OmegaConf.create(), status=JobStatus.COMPLETED)
    ended.return_value = lambda: None  # as little to be pickled
    monkeypatch.setattr(plugins, "run_job", lambda **_: ended)
    config = OmegaConf.create({"hydra": {"job": {}}})
    loader: Any = SimpleNamespace(load_sweep_config=lambda *_: config)
    context = HydraContext(loader, Callbacks())
    instances = Singleton.get_state()["instances"]
    plugins._Worker.begin(context, lambda _: None, config, instances)
    handed = plugins._Worker.run([], 0)
    assert pickle.loads(pickle.dumps(handed)) is JobStatus.COMPLETED


def test_a_call_hands_over_no_more_than_its_words() -> None:
    """What fills the pipe of the calls hangs Pythons before 3.11.5 when a process dies."""
    call = pickle.dumps((plugins._Worker.run, ["trainer.epochs=2", "hydra.sweep.subdir=0"], 0))
    assert len(call) < 500
