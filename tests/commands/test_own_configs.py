"""``-cd mine``: files of one's own beside the built-in ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf

from dagrec_cli.config.where import config_dir

Dagrec = Callable[..., Any]

EXPERIMENT = "# @package _global_\nthreads: 1\n"
TABLE = "rows:\n  - name: a\n    overrides: [model=popularity]\n"


def put(folder: Path, name: str, text: str = "{}\n") -> None:
    file = folder / "mine" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("train", "-cd", "mine"), "model/gru4rec.yaml"),
        (("train", "--config-dir", "mine", "model=markov"), "model/gru4rec.yaml"),
        (("train", "--config-dir=mine", "experiment=small_data"), "experiment/small_data.yaml"),
        (("train", "hydra.searchpath=[mine]"), "loss/ce.yaml"),
        (("train", "-m", "-cd", "mine", "experiment=search"), "experiment/search.yaml"),
        (("train", "-m", "-cd", "mine", "seed=0,1"), "hydra/sweeper/optuna.yaml"),
        (("reproduce", "-cd", "mine"), "table/summary.yaml"),
        (("reproduce", "-cd", "mine", "table=other"), "model/gru4rec.yaml"),
        (("data", "describe", "-cd", "mine"), "data/synthetic.yaml"),
        (("evaluate", "-cd", "mine", "run=r"), "split/paper.yaml"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_a_hidden_file_is_refused(
    dagrec: Dagrec, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    put(tmp_path, name)
    answer = dagrec(*words)
    assert f"mine/{name} would be hidden by the built-in " in answer.refusal
    assert f"configs/{name}; rename it" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_files_with_names_of_their_own_work(dagrec: Dagrec, tmp_path: Path) -> None:
    put(tmp_path, "experiment/quick.yaml", EXPERIMENT)
    put(tmp_path, "model/mine.yaml", "defaults: [popularity]\nranking: counts\n")
    answer = dagrec("train", "-cd", "mine", "model=mine", "experiment=quick")
    assert (answer.code, answer.err) == (0, "")
    assert answer.result()["choices"]["model"] == "mine"


def test_a_config_is_composed_once_unless_one_of_the_user_s_may_ask_for_jobs(
    dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra looks for its mode in a composition of its own, where no built-in config has one."""
    for file in config_dir().rglob("*.yaml"):
        assert "mode" not in (OmegaConf.load(file).get("hydra") or {}), file
    composed: list[str] = []
    plain = ConfigLoaderImpl.load_configuration

    def counted(self: Any, config_name: str, *rest: Any, **named: Any) -> Any:
        composed.append(config_name)
        return plain(self, config_name, *rest, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    assert dagrec("data", "describe").code == 0
    assert composed == ["data_describe"]
    many = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '0,1'}}}"
    put(tmp_path, "experiment/many.yaml", many)
    for words in (["-cd", "mine", "experiment=many"], ["hydra.mode=MULTIRUN", "seed=0,1"]):
        answer = dagrec("train", *words, "model=popularity")
        assert "job 1 seed=1: accuracy" in answer.out, answer
