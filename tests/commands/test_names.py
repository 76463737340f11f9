"""Names and paths that Hydra would read as numbers, refuse, or find too long."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

Dagrec = Callable[..., Any]

NEXT = {"1_1_1": "a", "111": "b", "1e5": "c", "100000.0": "d", "null": "b", "007": "d", "7": "a"}
LONG = "x" * 300


@pytest.fixture(scope="module")
def numbered(tmp_path_factory: pytest.TempPathFactory, dagrec_in: Callable[..., Any]) -> Path:
    """A folder with a run, ``2024_01``, whose services have numbers for names; for reading only."""
    folder = tmp_path_factory.mktemp("numbered")
    links = [{"source": "t", "target": 1}, {"source": 1, "target": 2}]
    lines = [
        {"nodes": [{"id": "t"}, {"id": 1, "mid": a}, {"id": 2, "mid": b}], "links": links}
        for a, b in NEXT.items()
    ]
    (folder / "1e5").write_text("".join(f"{json.dumps(line)}\n" for line in lines * 4))
    words = ("train", "model=markov", "data=compositions", "data.path=1e5")
    answer = dagrec_in(folder, [*words, "hydra.run.dir=2024_01"])
    assert answer.code == 0
    return folder


@pytest.mark.parametrize("name", NEXT)
def test_predict_answers_for_the_name_as_typed(
    numbered: Path, dagrec_in: Callable[..., Any], name: str
) -> None:
    words = ["predict", "run=2024_01", f"context=[{name}]", "top_k=1"]
    answer = json.loads(dagrec_in(numbered, words).out)
    assert answer["context"] == [name]
    assert answer["services"][0]["service"] == f"service_{NEXT[name]}"


def test_folders_and_files_have_the_names_as_typed(
    numbered: Path, dagrec_in: Callable[..., Any]
) -> None:
    (numbered / "1_2").write_text('["1_1_1"]\n')
    for words in (
        ["predict", "run=2024_01", "input=1_2", "output=1_0"],
        ["predict", "run=2024_01", "composition=1e5", "output=1e0"],
        ["evaluate", "run=2024_01", "hydra.run.dir=2024_02"],
        ["train", "resume=2024_01", "data.path=1e5"],
        ["data", "describe", "data=compositions", "data.path=[1e5]"],
    ):
        assert dagrec_in(numbered, words).err == ""
    assert {"2024_01", "2024_02", "1_0", "1e0"} <= {path.name for path in numbered.iterdir()}
    assert "202401" not in {path.name for path in numbered.iterdir()}


def test_a_sweep_over_names_that_look_like_numbers(
    numbered: Path, dagrec_in: Callable[..., Any]
) -> None:
    (numbered / "2_0").write_bytes((numbered / "1e5").read_bytes())
    words = ["train", "-m", "model=popularity", "data=compositions", "data.path=1e5,2_0"]
    answer = dagrec_in(numbered, [*words, "hydra.sweep.dir=2024_03"])
    assert (answer.code, answer.err) == (0, "")
    assert (numbered / "2024_03/1/result.json").is_file()


def test_a_path_from_the_home_folder(
    dagrec: Dagrec, numbered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(numbered))
    answer = dagrec("data", "describe", "data=compositions", "data.path=~/1e5", "format=json")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out)["compositions"] == 4 * len(NEXT)


def test_a_number_in_a_file_is_no_path(dagrec: Dagrec, tmp_path: Path) -> None:
    folder = tmp_path / "mine/experiment"
    folder.mkdir(parents=True)
    (folder / "e.yaml").write_text("# @package _global_\ndata:\n  path: 2024_01\n")
    words = ("train", "-cd", "mine", "data=compositions", "experiment=e")
    assert "data.path is 202401; use text" in dagrec(*words).refusal


@pytest.mark.parametrize(
    "words",
    [
        ("train", LONG),
        ("train", f"{LONG}=1"),
        ("train", f"model.{LONG}=1"),
        ("train", f"+{LONG}.a=1"),
        ("train", f"model={LONG}"),
        ("train", f"trainer.epochs={LONG}"),
        ("train", "data=compositions", f"data.path={LONG}"),
        ("train", f"hydra.run.dir={LONG}"),
        ("train", f"resume={LONG}"),
        ("train", "-cd", LONG),
        ("train", "-m", "model=popularity", f"hydra.sweep.dir={LONG}"),
        ("train", "-m", "model=popularity", f"hydra.sweep.subdir={LONG}"),
        ("evaluate", f"run={LONG}"),
        ("predict", f"run={LONG}", "context=[a]"),
        ("export", f"run={LONG}"),
        ("compare", LONG),
        ("compare", f"runs=[{LONG}]"),
        ("reproduce", f"table={LONG}"),
        ("data", "export", f"output={LONG}"),
        ("data", "describe", "data=galaxy_workflows", f"data.path={LONG}"),
        ("data", "describe", "data=galaxy_connections", f"data.path={LONG}"),
        ("data", "describe", LONG),
        ("bench", f"bench={LONG}"),
    ],
    ids=lambda words: " ".join(words).replace(LONG, "…"),
)
def test_a_long_word_is_one_line(dagrec: Dagrec, tmp_path: Path, words: tuple[str, ...]) -> None:
    answer = dagrec(*words)
    assert "site-packages" not in answer.refusal
    assert answer.err.startswith("dagrec")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([f"input={LONG}"], f"{LONG}: no such file; name one with input=FILE."),
        ([f"composition={LONG}"], f"{LONG}: no such file; name one with composition=FILE."),
        (["context=[7]", f"output={LONG}"], f"cannot write {LONG}: the name is too long; "),
    ],
    ids=["input", "composition", "output"],
)
def test_a_long_word_for_predict(
    numbered: Path, dagrec_in: Callable[..., Any], words: list[str], said: str
) -> None:
    refusal = dagrec_in(numbered, ["predict", "run=2024_01", *words]).refusal
    assert refusal.startswith(f"dagrec predict: {said}")


@pytest.mark.parametrize("name", ["1e5", "null"])
def test_a_study_has_the_name_as_typed(dagrec: Dagrec, tmp_path: Path, name: str) -> None:
    pytest.importorskip("optuna", reason="hydra/sweeper=optuna needs its extra")
    words = ("train", "-m", "hydra/sweeper=optuna", "trainer.validation_share=0.3")
    words += ("model=popularity", "model.ranking=choice(one_hot,counts)")
    study = f"hydra.sweeper.study_name={name}"
    answer = dagrec(*words, "hydra.sweeper.n_trials=1", study)
    if name == "null":
        assert "hydra.sweeper.study_name is None; use text" in answer.refusal
        return
    assert (answer.code, answer.err) == (0, "")
    assert (tmp_path / "outputs/search" / name / "best/result.json").is_file()


def chain(table: str, *services: str) -> str:
    nodes = [{"id": table}, *({"id": f"s{mid}", "mid": mid} for mid in services)]
    links = [{"source": a["id"], "target": b["id"]} for a, b in pairwise(nodes)]
    return json.dumps({"nodes": nodes, "links": links})


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, dagrec_in: Callable[..., Any]) -> Path:
    """A folder with a run, ``r``, that knows table_3 and service_3; for reading only."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "data.jsonl").write_text(f"{chain('3', '3', '5')}\n{chain('service_9', '5')}\n" * 9)
    words = ("train", "model=markov", "data=compositions", "data.path=data.jsonl")
    assert dagrec_in(folder, [*words, "hydra.run.dir=r"]).code == 0
    (folder / "short.jsonl").write_text('["table_3", "3"]\n')
    (folder / "full.jsonl").write_text('["table_3", "service_3"]\n')
    (folder / "known.json").write_text(chain("3", "3"))
    (folder / "unknown.json").write_text(chain("3", "3", "9"))
    return folder


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("context=[table_3,3]", "ambiguous node '3'; write table_3 or service_3."),
        ("context=3", "ambiguous node '3'; write table_3 or service_3."),
        ("input=short.jsonl", "line 1: ambiguous node '3'; write table_3 or service_3."),
        ("composition=unknown.json", "unknown node 'service_9'"),  # no table_service_9 for it
        ("context=[table_3,service_3]", ""),
        ("input=full.jsonl", ""),
        ("composition=known.json", ""),
    ],
)
def test_a_name_that_two_nodes_have_is_refused(
    twins: Path, dagrec_in: Callable[..., Any], word: str, told: str
) -> None:
    answer = dagrec_in(twins, ["predict", "run=r", word, "top_k=1"])
    if told:
        assert told in answer.refusal
    else:
        assert (answer.code, answer.err) == (0, "")
        assert json.loads(answer.out)["services"][0]["service"] == "service_5"


def test_evaluate_tells_an_unknown_service_from_a_table(
    twins: Path, dagrec_in: Callable[..., Any]
) -> None:
    words = ["evaluate", "run=r", "data=compositions", "data.path=unknown.json", "side=all"]
    answer = dagrec_in(twins, [*words, "hydra.run.dir=e"])
    assert (answer.code, answer.err) == (0, "")
    assert "service_9" in (twins / "e/predictions.csv").read_text()
