"""Paths that Hydra's grammar would read otherwise."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.words import as_typed, is_path

Dagrec = Callable[..., Any]
DagrecIn = Callable[..., Any]

NAMES = (
    "model=backoff,seed=0",  # as Hydra names the folders of a multirun
    "a folder, with [brackets] {and} (more)",
    "it's",
    "2024_01",
    "a${b}",
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("metric=ndcg", False),
        ("hydra/launcher=joblib", False),
        ("runs=[a,b]", False),
        ("a", True),
        ("day/model=markov", True),  # also where it is not there: no setting has a slash
        ("seed=1", True),  # it is there
    ],
)
def test_a_folder_is_told_from_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, expected: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seed=1").mkdir()
    assert is_path(word) is expected


def test_only_what_is_there_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b").mkdir()
    assert as_typed("run=a,b") == "run='a,b'"
    for word in ("run=a", "run='a,b'", "model=a,b", "-m", "run=" + "a" * 300):
        assert as_typed(word) == word


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, dagrec_in: DagrecIn) -> Path:
    """A counting model; for reading only."""
    folder = tmp_path_factory.mktemp("run")
    assert dagrec_in(folder, ["train", "model=markov", "hydra.run.dir=r"]).code == 0
    return folder / "r"


@pytest.mark.parametrize("name", NAMES)
def test_a_run_folder_of_any_name(run: Path, dagrec: Dagrec, tmp_path: Path, name: str) -> None:
    shutil.copytree(run, tmp_path / "s1" / name)
    answer = dagrec("predict", f"run=s1/{name}", "context=[table_1]", "format=json", "top_k=1")
    assert json.loads(answer.out)["context"] == ["table_1"]


def test_folders_as_hydra_names_them(run: Path, dagrec: Dagrec, tmp_path: Path) -> None:
    name, other = NAMES[:2]
    for each in (name, other):
        shutil.copytree(run, tmp_path / "s1" / each)
    answer = dagrec("compare", f"s1/{name}", f"s1/{other}")
    assert (answer.code, answer.err) == (0, "")
    assert dagrec("evaluate", f"run=s1/{name}", "hydra.run.dir=e").code == 0
    assert json.loads((tmp_path / "e/result.json").read_text())["run"] == f"s1/{name}"


def test_the_name_of_a_folder_alone(run: Path, dagrec: Dagrec, tmp_path: Path) -> None:
    for name in ("model=markov", "by=model"):
        shutil.copytree(run, tmp_path / name)
    assert dagrec("compare", "model=markov", "by=model").code == 0
    answer = dagrec("compare", "s1/model=marko,seed=0")
    assert "s1/model=marko,seed=0: no such folder; name run folders" in answer.refusal


def test_a_data_file_of_any_name(dagrec: Dagrec, tmp_path: Path) -> None:
    nodes = [{"id": 1}, {"id": 2, "mid": 2}]
    line = json.dumps({"nodes": nodes, "links": [{"source": 1, "target": 2}]})
    (tmp_path / "a=1, [b].jsonl").write_text(f"{line}\n" * 5)
    answer = dagrec("data", "validate", "data=compositions", "data.path=a=1, [b].jsonl")
    assert (answer.code, answer.err) == (0, "")
