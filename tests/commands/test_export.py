"""``dagrec data export`` and ``dagrec export``: read back as the other tools read them."""

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import util
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from dagrec_cli.data.queries import About, Query
from dagrec_cli.evaluation.recommender import recommend
from dagrec_cli.export.onnx_model import OnnxError
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.runs.model import load_model
from dagrec_cli.runs.run import Run

Dagrec = Callable[..., Any]
Pair = tuple[tuple[str, ...], str]

AWKWARD = 'a "b"\t100%\nü'  # a table's id with everything that separates or quotes
WALKS = [("t1", "7", "8"), ("t1", "7", "t2", "9"), (AWKWARD, "7", "8"), ("t1", "9")]


def composition(number: int, *walk: str) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [
        {"id": f"s{n}", "mid": int(n), "start_time": 1000 + number} if n.isdigit() else {"id": n}
        for n in walk
    ]
    links = [{"source": a["id"], "target": b["id"]} for a, b in pairwise(nodes)]
    return {"nodes": nodes, "links": links}


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, str]:
    lines = [json.dumps(composition(k, *WALKS[k % len(WALKS)])) for k in range(20)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    return "data=compositions", "data.path=own.jsonl"


def name_of(node: str) -> str:
    return f"service_{node}" if node.isdigit() else f"table_{node}"


def pairs_of(walks: Iterable[tuple[str, ...]]) -> Counter[Pair]:
    """Return all pairs of walks by hand: a step into a service, with what came before."""
    return Counter(
        (tuple(map(name_of, walk[:k])), name_of(walk[k]))
        for walk in walks
        for k in range(1, len(walk))
        if walk[k].isdigit()
    )


ALL_PAIRS = pairs_of(WALKS * 5)


def read_csv(folder: Path) -> dict[str, Counter[Pair]]:
    sides: dict[str, Counter[Pair]] = {"train": Counter(), "test": Counter()}
    with (folder / "pairs.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            sides[row["side"]][tuple(row["context"].split(" -> ")), row["target"]] += 1
    return sides


def read_gru4rec(file: Path) -> pd.DataFrame:
    """Read as the official ``run.py`` does."""
    columns = ["SessionId", "ItemId", "Time"]
    types = {"SessionId": "int32", "ItemId": "str"}
    return pd.read_csv(file, sep="\t", usecols=columns, dtype=types)  # type: ignore[arg-type]


def read_recbole(file: Path) -> list[Pair]:
    """Read as RecBole's ``Dataset._load_feat`` does: typed columns, sequences split at spaces."""
    found = pd.read_csv(file, delimiter="\t", dtype=str, encoding="utf-8", engine="python")
    assert list(found.columns) == [
        "session_id:token",
        "item_id_list:token_seq",
        "item_id:token",
    ]
    assert found["session_id:token"].is_unique
    lists = [tuple(map(unquote, filter(None, row.split(" ")))) for row in found.iloc[:, 1]]
    return list(zip(lists, map(unquote, found.iloc[:, 2]), strict=True))


def test_csv_holds_every_pair_on_its_side(
    dagrec: Dagrec, tmp_path: Path, data: tuple[str, str]
) -> None:
    answer = dagrec("data", "export", *data, "output=out")
    n = ALL_PAIRS.total()
    assert answer.out == f"out: {n - 11} training pairs, 11 test pairs\n"  # 30 % of 35, rounded up
    sides = read_csv(tmp_path / "out")
    assert sides["train"] + sides["test"] == ALL_PAIRS
    assert sides["test"].total() == 11


def test_gru4rec_meets_each_pair_of_whole_compositions_once(
    dagrec: Dagrec, tmp_path: Path, data: tuple[str, str]
) -> None:
    split = ("split=composition", "split.test_share=0.5")
    dagrec("data", "export", *data, *split, "format=gru4rec", "output=g")
    dagrec("data", "export", *data, *split, "output=c")
    for side, expected in read_csv(tmp_path / "c").items():
        found = read_gru4rec(tmp_path / "g" / f"{side}.tsv")
        found = found.sort_values(["SessionId", "Time", "ItemId"])  # as GRU4Rec does
        sessions = [tuple(map(unquote, items)) for _, items in found.groupby("SessionId")["ItemId"]]
        steps = Counter(
            (session[:k], session[k])
            for session in sessions
            for k in range(1, len(session))
            if session[k].startswith("service_")
        )
        assert steps == expected, side
        assert found["Time"].between(1000, 1100).all()
        assert not found.duplicated(["SessionId", "Time"]).any()


def test_gru4rec_starts_anew_where_the_predecessor_is_on_the_other_side(
    dagrec: Dagrec, tmp_path: Path, data: tuple[str, str]
) -> None:
    """In the paper's split every pair still is the last step of a session, or on its way."""
    dagrec("data", "export", *data, "format=gru4rec", "output=g")
    dagrec("data", "export", *data, "output=c")
    for side, expected in read_csv(tmp_path / "c").items():
        found = read_gru4rec(tmp_path / "g" / f"{side}.tsv")
        steps: Counter[Pair] = Counter()
        for _, items in found.groupby("SessionId")["ItemId"]:
            names = tuple(map(unquote, items))
            steps.update((names[:k], names[k]) for k in range(1, len(names)))
        assert not expected - steps, side


def test_recbole_reads_a_pair_a_line(dagrec: Dagrec, tmp_path: Path, data: tuple[str, str]) -> None:
    dagrec("data", "export", *data, "format=recbole", "output=dataset/mine")
    dagrec("data", "export", *data, "output=c")
    folder = tmp_path / "dataset" / "mine"
    sides = read_csv(tmp_path / "c")
    config = OmegaConf.load(folder / "mine.yaml")
    assert config.benchmark_filename == ["train", "test"]
    for side in config.benchmark_filename:
        assert Counter(read_recbole(folder / f"mine.{side}.inter")) == sides[side]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "output is null; say where to write with output=PATH."),
        (["output=x", "format=libfm"], "format is 'libfm'; use one of gru4rec, recbole, csv."),
        (["output=own.jsonl"], "output is 'own.jsonl', own.jsonl, which is read; write"),
        (["output=own.jsonl/x"], "cannot write own.jsonl/x: Not a directory"),
        (["output=x", "data.path=no"], "no: no such file"),
    ],
)
def test_a_mistake_is_one_line(
    dagrec: Dagrec, data: tuple[str, str], words: list[str], expected: str
) -> None:
    assert expected in dagrec("data", "export", *data, *words).refusal


READS_ROWS = ["gru4rec", "sasrec", "dagnn", "dag_transformer", "srgnn"]  # of paths, at least


@pytest.mark.parametrize("unmasked", [None, *READS_ROWS])
def test_onnx_gives_the_same_scores_and_ranking(
    trained: Any, dagrec: Dagrec, tmp_path: Path, unmasked: str | None
) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    run = trained.run
    if unmasked:
        words = ("trainer.epochs=2", "model.mask=none")
        run = dagrec("train", f"model={unmasked}", *words).run
    answer = dagrec("export", f"run={run}", "output=out/model.onnx")
    assert (answer.code, answer.err) == (0, "")
    model = load_model(Run.load(run))
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx")
    names = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(names["services"])) == model.facts.vocabulary.services
    for n_contexts, longest in ((1, 1), (5, 2), (40, 9)):  # other shapes than it was exported with
        length = torch.randint(1, longest + 1, (n_contexts,))
        length[0] = longest
        nodes = torch.randint(1, model.facts.n_nodes + 1, (n_contexts, longest))
        nodes[torch.arange(longest) >= length[:, None]] = 0
        contexts = Contexts.of_rows(nodes, length)
        with torch.no_grad():
            own = model(contexts)
        found, ranking = session.run(None, {"nodes": nodes.numpy(), "length": length.numpy()})
        expected = model.hard_mask(own, contexts.last) if model.hard_mask else own
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)
        assert bool(expected.isinf().any()) == (unmasked is None)
        vocabulary = model.facts.vocabulary
        asked = [[row[:n].tolist()] for row, n in zip(nodes, length, strict=True)]
        answers = recommend(model, (Query.of_paths(About(), contexts) for contexts in asked), 99)
        predicted = [[each.service for each in answer.services] for answer in answers]
        assert [[vocabulary.services[c] for c in row] for row in ranking] == predicted


@pytest.mark.parametrize("model", [*READS_ROWS, "deep_dag"])
def test_onnx_takes_no_contexts_at_all(dagrec: Dagrec, tmp_path: Path, model: str) -> None:
    """In a process of its own, since onnxruntime aborts where a recurrent layer gets none."""
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    run = dagrec("train", f"model={model}", "trainer.epochs=1").run
    assert dagrec("export", f"run={run}", "output=model.onnx").code == 0
    script = """
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
for longest in (1, 4):
    none = {"nodes": numpy.zeros((0, longest), numpy.int64), "length": numpy.zeros(0, numpy.int64)}
    print(*(found.shape[0] for found in session.run(None, none)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, [b"0"] * 4)


def test_without_its_packages_it_says_how_to_get_them(
    trained: Any, dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    answer = dagrec("export", f"run={trained.run}")
    assert answer.code == 2
    assert answer.err.endswith("[onnx]'\n")


def test_a_counting_model_has_no_network_to_export(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    run = dagrec("train", "model=markov", "data.compositions=50").run
    answer = dagrec("export", f"run={run}")
    assert answer.code == 2
    assert "Markov counts and has no network to export" in answer.err


MERGING = "t1 7", "t2 7", "7 8", "7 9", "8 9"  # links


@pytest.mark.parametrize(
    ("model", "is_exported"),
    [
        ("gru4rec", False),
        ("gru4rec model.encoding=padded", True),
        ("gru4rec data.context=path", True),
    ],
)
def test_a_row_does_not_stand_for_links_that_merge(
    dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, is_exported: bool
) -> None:
    ends = [link.split() for link in MERGING]
    nodes = [
        {"id": name, "mid": int(name)} if name.isdigit() else {"id": name}
        for name in ("t1", "t2", "7", "8", "9")
    ]
    links = [{"source": source, "target": target} for source, target in ends]
    text = json.dumps({"nodes": nodes, "links": links})
    (tmp_path / "own.jsonl").write_text("\n".join([text] * 4))
    words = ("data=compositions", "data.path=own.jsonl", "trainer.epochs=1")
    run = dagrec("train", *words, *f"model={model}".split()).run
    exported = Mock(side_effect=OnnxError("as far as that."))
    monkeypatch.setattr(util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.onnx, "export", exported)
    answer = dagrec("export", f"run={run}")
    assert answer.code == 2
    assert exported.called == is_exported
    if not is_exported:
        (line,) = answer.err.splitlines()
        assert "data.context=path, or a model that reads rows: sasrec, gru4rec with" in line


def test_csv_holds_owners_as_numbers_and_times(dagrec: Dagrec, tmp_path: Path) -> None:
    nodes = [{"id": 0}, {"id": 1, "mid": 1}, {"id": 2, "mid": 2}]
    links = [{"source": 0, "target": 1}, {"source": 1, "target": 2}]
    about = [{"owner": "x", "start_time": 0.5}, {"end_time": "1970-01-02"}, {"owner": "x"}]
    text = [json.dumps({"nodes": nodes, "links": links, **each}) for each in about]
    (tmp_path / "mine.jsonl").write_text("\n".join(text))
    words = ["data=compositions", "data.path=mine.jsonl", "output=out"]
    assert dagrec("data", "export", *words).code == 0
    with (tmp_path / "out" / "pairs.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 6
    found = {(r["composition"], r["owner"], r["start_time"], r["end_time"]) for r in rows}
    assert found == {
        ("0", "0", "1970-01-01T00:00:00.500000+00:00", ""),
        ("1", "", "", "1970-01-02T00:00:00+00:00"),
        ("2", "0", "", ""),
    }
