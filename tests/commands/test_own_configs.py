"""``-cd mine``: files of one's own beside the built-in ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert f"mine/{name} would be hidden by the built-in " in answer.err
    assert f"configs/{name}; rename it" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_files_with_names_of_their_own_work(dagrec: Dagrec, tmp_path: Path) -> None:
    put(tmp_path, "experiment/quick.yaml", EXPERIMENT)
    put(tmp_path, "model/mine.yaml", "defaults: [popularity]\nranking: counts\n")
    answer = dagrec("train", "-cd", "mine", "model=mine", "experiment=quick")
    assert (answer.code, answer.err) == (0, "")
    assert answer.result()["choices"]["model"] == "mine"
