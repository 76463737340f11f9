"""Wrong input: one line that says what, where and what is allowed; exit 2; nothing is left."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import dagrec_cli
from dagrec_cli import DagrecError

ROOT = Path(__file__).parents[2]
SETPRIV = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]

Dagrec = Callable[..., Any]


def composition(*links: tuple[int, int], ids: tuple[int, ...] = (1, 2, 3)) -> dict[str, Any]:
    """A table 1 and services 2, 3, …"""
    nodes = [{"id": i} if i == 1 else {"id": i, "mid": i} for i in ids]
    return {"nodes": nodes, "links": [{"source": a, "target": b} for a, b in links]}


GOOD = composition((1, 2), (2, 3))
TABLES = {"nodes": [{"id": 1}, {"id": 4}], "links": [{"source": 1, "target": 4}]}

FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty file": ("", ["file is empty", "a JSON array"]),
    "not JSON": ("hello", ["unexpected 'hello' in line 1", "a JSON array"]),
    "truncated array": (json.dumps([GOOD])[:-20], ["truncated at line 1, column", "fix it"]),
    "truncated line": (
        f"{json.dumps(GOOD)}\n{json.dumps(GOOD)[:-9]}",
        ["compositions[1] (line 2): JSON ends too early", "one whole composition"],
    ),
    "broken gzip": (b"\x1f\x8b\x08\x00", ["broken gzip", "compress it again"]),
    "no composition": ("[]", ["no composition"]),
    "a number": ("[1]", ["compositions[0]: Expected `object`, got `int`"]),
    "a cycle": (
        json.dumps([GOOD, composition((1, 2), (2, 3), (3, 2))]),
        ["compositions[1].links: cycle ", "2 -> 3", "must be acyclic"],
    ),
    "a dangling link": (
        json.dumps([GOOD, GOOD, composition((1, 2), (2, 33))]),
        ["compositions[2].links[1].target: unknown node '33'", "nearest ids: '3'"],
    ),
    "a duplicate id": (
        json.dumps([composition((1, 2), ids=(1, 2, 2))]),
        ["compositions[0].nodes[2].id: duplicate id '2'; nodes[1] has it"],
    ),
    "a self-loop": (
        json.dumps([composition((1, 2), (2, 2))]),
        ["compositions[0].links[1]: node '2' is linked to itself"],
    ),
    "no link": (
        json.dumps([composition()]),
        ["(1 composition skipped: 1 x no link, so no step)", "at least one"],
    ),
    "no services": (json.dumps([TABLES]), ["no service comes next", "at least two services"]),
    "a single class": (
        json.dumps([composition((1, 2))]),
        ["only 'service_2' ever comes next", "at least two services"],
    ),
    "one side empty": (
        json.dumps([GOOD, GOOD]),
        ["cannot hold out 30% of 4 pairs", "give more compositions or another split"],
    ),
}
SETTINGS = {
    "data=nosuch": "data=nosuch does not exist; data is one of comfyui, ",
    "model=nosuch": "model=nosuch does not exist; model is one of ",
    "model.hidden=0": "model.hidden is 0; use a whole number of 1 or more.",
    "model.dropout_embed=1.5": "model.dropout_embed is 1.5; use a number from 0 up to, not incl",
    "model.dropout_hidden=null": "model.dropout_hidden is None; use a number",
    "model.mask=no": "model.mask is 'no'; use one of hard, none, prior.",
    "model.dag_mask=false": "model.dag_mask is now model.mask; use model.mask=hard for true,",
    "+model.dag_mask=false": "model.dag_mask is now model.mask; use model.mask=hard for true,",
    "trainer.epochs=-1": "trainer.epochs is -1; use a whole number of 1 or more.",
    "trainer.epochs=many": "trainer.epochs is 'many'; use a whole number",
    "trainer.learning_rate=-1": "trainer.learning_rate is -1; use a number",
    "trainer.validation_share=0": "trainer.validation_share is 0; use trainer.validation_share=0.2",
    "trainer.monitor=f2": "trainer.monitor is 'f2'; use one of accuracy, precision, recall, f1,",
    "metrics=[ndgc@10]": "metrics is 'ndgc@10'; did you mean ndcg@10? use one of accuracy,",
    "trainer.distinct_contexts=1": "trainer.distinct_contexts is 1; use true or false.",
    "sampler=popularity": "loss ce scores every service and needs no negatives, but",
    "loss=bpr sampler=none": "loss bpr needs negatives but sampler is none; add sampler=",
    "split.test_share=1": "split.test_share is 1; use a number above 0 and below 1.",
    "split.graph=some": "split.graph is 'some'; use one of all, train.",
    "split=temporal": "split=temporal needs a start time, but 943 of 943 compositions have none",
    "data.max_paths=1000001": "data.max_paths is 1000001; use a whole number from 1 to 1000000.",
    "data.max_paths=lots": "data.max_paths is 'lots'; use a whole number",
    "data.on_invalid=drop": "data.on_invalid is 'drop'; use one of error, skip.",
    "data.branching=x": "data.branching is 'x'; use a number",
    "data.lengths=3": "data.lengths is 3; use a mapping",
    "seed=-1": "seed is -1; use a whole number from 0 to 4294967295.",
    "seeds=3": "seeds is 3; give a list, such as seeds=[0,1,2].",
    "seeds=[0,0]": "seeds is [0, 0]; give one or more seeds, each once.",
    "model._target_=os.system": "model._target_ 'os.system' is no class of os.",
    "model._target_=sys.exit": "model._target_ 'sys.exit' is no class of sys.",
    "hydra.run.dir=${nosuch}": "hydra.run.dir: Interpolation key 'nosuch' not found.",
}


def check_one_line(answer: Any, *parts: str) -> None:
    """Exit 2, one line on stderr that holds the parts, nothing on stdout, no run folder."""
    assert answer.refusal.startswith("dagrec train: ")
    assert answer.err.endswith((".\n", "?\n"))
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err
    assert not (answer.folder / "outputs").exists()


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file(dagrec: Dagrec, tmp_path: Path, case: str) -> None:
    content, parts = FILES[case]
    data = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "mine.json").write_bytes(data)
    split = "split=composition" if case == "one side empty" else "split=paper"
    check_one_line(dagrec("train", "data=compositions", "data.path=mine.json", split), *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """By what the command is too, which takes three times as long."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DagrecError) as caught:
        dagrec_cli.train(*setting.split())
    line = str(caught.value)
    assert SETTINGS[setting] in line
    assert ("\n" in line, line[-1] in ".?") == (False, True)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_setting_is_one_line(dagrec: Dagrec, tmp_path: Path) -> None:
    told = "progress is 'maybe'; use one of auto, true, false."
    for word, line in (("model.hidden=0", SETTINGS["model.hidden=0"]), ("progress=maybe", told)):
        check_one_line(dagrec("train", word), line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("null", ["data.path is null", "data.path=PATH", "a JSON array"]),
        (".", [".: no file there", "in a folder those count that end in .json"]),
        ("nowhere.json", ["nowhere.json: no such file", "data.path=FILE"]),
    ],
)
def test_a_wrong_path(dagrec: Dagrec, path: str, parts: list[str]) -> None:
    check_one_line(dagrec("train", "data=compositions", f"data.path={path}"), *parts)


def test_a_wrong_setting_of_the_model_stops_before_the_data_are_read(dagrec: Dagrec) -> None:
    answer = dagrec("train", "data=compositions", "data.path=nowhere.json", "model.hidden=0")
    check_one_line(answer, "model.hidden is 0; use a whole number of 1 or more.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.tie_weights=true", "model.hidden=9"], "model.embedding_dim is 64 and model.hid"),
        (["model=deep_dag", "model.heads=7"], "use a multiple of model.heads."),
        (["model.embedding_dim=1000000000000000"], "not enough memory for these sizes"),
    ],
)
def test_what_a_model_finds_wrong_leaves_nothing(
    dagrec: Dagrec, tmp_path: Path, words: list[str], message: str
) -> None:
    check_one_line(dagrec("train", *words), message)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_with_a_near_name(dagrec: Dagrec, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").touch()
    answer = dagrec("train", "data=compositions", "data.path=mine.json")
    check_one_line(answer, "mine.json: no such file", "near names in that folder: 'mine.jsonl'")


def test_a_context_longer_than_max_len(dagrec: Dagrec, tmp_path: Path) -> None:
    chain = composition(*((i, i + 1) for i in range(1, 12)), ids=tuple(range(1, 13)))
    (tmp_path / "mine.jsonl").write_text(f"{json.dumps(chain)}\n" * 3)
    answer = dagrec("train", "data=compositions", "data.path=mine.jsonl", "model=gru4rec_paper")
    check_one_line(
        answer, "model.max_len is 10 but the longest context has 11 nodes", "use model.max_len=11"
    )


def test_more_paths_than_allowed(dagrec: Dagrec, tmp_path: Path) -> None:
    diamonds = [(a, b) for k in range(1, 40, 3) for a, b in ((k, k + 1), (k, k + 2))]
    diamonds += [(a, k + 3) for k in range(1, 40, 3) for a in (k + 1, k + 2)]
    wide = composition(*diamonds, ids=tuple(range(1, 41)))
    (tmp_path / "mine.jsonl").write_text(json.dumps(wide))
    answer = dagrec(
        "train",
        "data=compositions",
        "data.path=mine.jsonl",
        "data.max_paths=8000",
        "data.context=path",
    )
    check_one_line(answer, "too many paths (8,192)", "data.max_paths", "use data.context=dag,")


def test_skipping_leaves_out_and_counts(dagrec: Dagrec, tmp_path: Path) -> None:
    lines = [GOOD] * 8 + [composition((1, 2), (2, 3), (3, 2)), composition((1, 9))]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ("data=compositions", "data.path=mine.jsonl", "data.on_invalid=skip")
    answer = dagrec("train", *words, "trainer.epochs=1")
    assert answer.code == 0
    assert "2 compositions skipped: 1 x cycle, 1 x unknown node" in " ".join(answer.out.split())
    assert answer.result()["data"]["skipped"] == 2
    assert answer.result()["data"]["compositions"] == 8


@pytest.mark.parametrize("place", ["file/run", "file"])
def test_a_run_folder_below_a_file(dagrec: Dagrec, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    answer = dagrec("train", f"hydra.run.dir={place}")
    check_one_line(
        answer, f"cannot write {place}: ", "a file, not a folder", "hydra.run.dir=FOLDER"
    )
    assert (tmp_path / "file").read_text() == "mine"


def dagrec_alone(cwd: Path, words: list[str], before: list[str]) -> Any:
    return subprocess.run(
        [*before, sys.executable, "-m", "dagrec_cli", "train", "model=popularity", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_no_write_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    before = [] if os.geteuid() else SETPRIV
    try:
        if before and (
            not shutil.which("setpriv")
            or not subprocess.run(
                [*SETPRIV, "touch", tmp_path / "x"], capture_output=True
            ).returncode
        ):
            pytest.skip("root may write anywhere here, and setpriv cannot take that right away")
        done = dagrec_alone(tmp_path, [], before)
    finally:
        tmp_path.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("dagrec train: cannot write ")
    assert "no permission to write there; write elsewhere with hydra.run.dir=" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system needs the right to mount one")
    try:
        done = dagrec_alone(tmp_path.parent, [f"hydra.run.dir={tmp_path}/run"], [])
        left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "the disk is full; write elsewhere with hydra.run.dir=" in done.stderr
    assert "result.json" not in left
    assert not [name for name in left if name.endswith(".tmp")]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_at_the_flush(dagrec: Dagrec, tmp_path: Path, code: int) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with patch.object(os, "fsync", full):
        check_one_line(dagrec("train", "model=popularity"), "cannot write: the disk ")
    assert list(tmp_path.iterdir()) == []
