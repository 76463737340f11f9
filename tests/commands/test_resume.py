"""A stopped run continues to the same bytes; what cannot says so in one line."""

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file, save_file

from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.training import hardware
from hand_made import result_of

ROOT = Path(__file__).parents[2]
KEEP = "keep_checkpoints=true"
WORDS = ["trainer=full_batch", "trainer.epochs=5", "model.hidden=8", "model.embedding_dim=4"]
SAME = (
    *("predictions.csv", "model.safetensors", "model_seed1.safetensors", "learning_curve.png"),
    *("final/model.safetensors", "final/model_seed1.safetensors", "final/graph.json"),
)
CASES = {
    "two seeds, stopped in the first": (["seeds=[0,1]", "loss=bpr", "sampler.n_sample=4"], 2),
    "two seeds, stopped in the second": (["seeds=[0,1]"], 7),
    "mini-batches": (["trainer=mini_batch", "trainer.device=cpu", "trainer.batch_size=20"], 3),
    "in the second final model": (["seeds=[0,1]", "trainer.fit_on=all"], 18),
    "early stopping": (["trainer.validation_share=0.2", "trainer.patience=2"], 3),
    "in the refit": (["trainer.validation_share=0.2", "trainer.checkpoint_every=1"], 6),
}

Dagrec = Callable[..., Any]
CtrlC = Callable[..., Any]


def contents(run: Path) -> dict[str, bytes | str]:
    """Everything that must not depend on an interruption."""
    found: dict[str, bytes | str] = {
        name: (run / name).read_bytes() for name in SAME if (run / name).exists()
    }
    lines = (run / "metrics.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines]
    found["metrics.csv"] = "\n".join(",".join([*row[:3], *row[4:]]) for row in cells)
    return found


@pytest.fixture(scope="session")
def whole(dagrec_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five epochs that nothing stopped; for reading only."""
    folder = tmp_path_factory.mktemp("whole")
    assert dagrec_in(folder, ["train", *WORDS, "hydra.run.dir=run"]).code == 0
    return folder / "run"


@pytest.fixture(scope="session")
def half(dagrec_in: Any, tmp_path_factory: pytest.TempPathFactory, ctrl_c_in: CtrlC) -> Path:
    """A run with checkpoints of epochs 2 and 3, stopped after epoch 3 by Ctrl-C."""
    folder = tmp_path_factory.mktemp("half")
    words = [*WORDS, "trainer.checkpoint_every=1"]
    with ctrl_c_in(3):
        dagrec_in(folder, ["train", *words, "hydra.run.dir=run"])
    return folder / "run"


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    """A copy of that run, to continue."""
    return Path(shutil.copytree(half, tmp_path / "run"))


def check_refused(answer: Any, *parts: str) -> None:
    assert answer.refusal.startswith("dagrec train: ")
    for part in parts:
        assert part in answer.err


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    dagrec: Dagrec, tmp_path: Path, case: str, ctrl_c_in: CtrlC
) -> None:
    words, call = CASES[case]
    dagrec("train", *WORDS, *words, "hydra.run.dir=whole")
    with ctrl_c_in(call):
        answer = dagrec("train", *WORDS, *words, "hydra.run.dir=run")
    assert (answer.code, answer.out) == (130, "")
    said, last = answer.err.splitlines()
    assert said == "Stopping after this epoch; Ctrl-C again stops at once."
    assert last == "dagrec train: interrupted; continue with: dagrec train resume=run"
    run = tmp_path / "run"
    assert result_of(run)["status"] == "interrupted"
    assert not (run / "predictions.csv").exists()
    command = shlex.split(last.partition("continue with: dagrec ")[2])
    assert dagrec(*command).code == 0
    assert contents(run) == contents(tmp_path / "whole")
    results = [result_of(tmp_path / name) for name in ("run", "whole")]
    for key in ("status", "metrics", "model", "choices", "data", "seeds"):
        assert results[0][key] == results[1][key], key
    assert not [path for path in run.rglob("*") if path.name.endswith((".tmp", ".lock"))]


def test_a_second_ctrl_c_stops_at_once_and_the_run_still_goes_on(
    dagrec: Dagrec, tmp_path: Path, whole: Path, ctrl_c_in: CtrlC
) -> None:
    with ctrl_c_in(3, times=2):
        answer = dagrec("train", *WORDS, "hydra.run.dir=run")
    assert answer.code == 130
    assert not (tmp_path / "run/checkpoints").exists()
    assert dagrec("train", "resume=run").code == 0
    assert contents(tmp_path / "run") == contents(whole)


def test_threads_auto_is_what_the_run_began_with(
    dagrec: Dagrec, tmp_path: Path, ctrl_c_in: CtrlC, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resumed(*words: str) -> tuple[int, int]:
        with ctrl_c_in(1):
            assert dagrec("train", *words).code == 130
        kept = json.loads((tmp_path / "run/request.json").read_text())["threads"]
        return kept, torch.get_num_threads()

    before = torch.get_num_threads()
    monkeypatch.setattr(hardware, "SMALL_EPOCH", 1)
    monkeypatch.setattr(hardware, "ALL_THREADS", 2)
    try:
        assert resumed(*WORDS, "hydra.run.dir=run") == (2, 2)
        monkeypatch.setattr(hardware, "ALL_THREADS", 1)  # another machine
        assert resumed("resume=run") == (2, 2)
        assert resumed("resume=run", "threads=1") == (1, 1)
    finally:
        torch.set_num_threads(before)


def test_a_finished_run_can_be_trained_for_longer(
    dagrec: Dagrec, tmp_path: Path, whole: Path
) -> None:
    dagrec("train", *WORDS, "trainer.epochs=3", KEEP, "hydra.run.dir=run")
    answer = dagrec("train", "resume=run", "trainer.epochs=5")
    assert answer.code == 0
    assert "had finished" not in answer.out
    assert contents(tmp_path / "run") == contents(whole)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["model"]["epochs"] == [5]
    assert result["overrides"][-1] == "trainer.epochs=5"
    assert "trainer.epochs=3" not in result["overrides"]
    config = (tmp_path / "run/config.yaml").read_text()
    assert "epochs: 5" in config


@pytest.mark.parametrize("word", ["trainer.schedule=cosine", "trainer.warmup=0.1"])
def test_a_run_whose_learning_rate_follows_its_epochs_is_not_trained_for_longer(
    dagrec: Dagrec, tmp_path: Path, word: str
) -> None:
    dagrec("train", *WORDS, word, "hydra.run.dir=run")
    before = contents(tmp_path / "run")
    refused = dagrec("train", "resume=run", "trainer.epochs=6")
    check_refused(
        refused, "trainer.epochs=6 would change the learning rate of epochs that are over"
    )
    assert contents(tmp_path / "run") == before
    assert dagrec("train", "resume=run", "trainer.epochs=5").code == 0


def test_a_finished_run_keeps_no_checkpoint_unless_asked(
    dagrec: Dagrec, tmp_path: Path, whole: Path
) -> None:
    assert not (whole / "checkpoints").exists()
    before = contents(whole)
    shutil.copytree(whole, tmp_path / "run")
    refused = dagrec("train", "resume=run", "trainer.epochs=6")
    check_refused(
        refused,
        "run: the run has finished and kept no checkpoint to continue from with trainer.epoch",
    )
    assert contents(tmp_path / "run") == before
    again = shlex.split(refused.err.partition("keep them: dagrec ")[2])
    assert again[-2:] == ["trainer.epochs=6", KEEP]
    assert dagrec(*again, "hydra.run.dir=longer").code == 0
    kept = [file.name for file in (tmp_path / "longer/checkpoints").iterdir()]
    assert kept == ["seed0_epoch0000006.safetensors"]


def test_checkpoints_of_finished_seeds_stay_until_the_last_one_has(
    dagrec: Dagrec, tmp_path: Path, ctrl_c_in: CtrlC
) -> None:
    with ctrl_c_in(7):
        dagrec("train", *WORDS, "seeds=[0,1]", "hydra.run.dir=run")
    kept = sorted(file.name for file in (tmp_path / "run/checkpoints").iterdir())
    assert kept == ["seed0_epoch0000005.safetensors", "seed1_epoch0000002.safetensors"]
    assert dagrec("train", "resume=run").code == 0
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("keep", [[], ["keep_checkpoints=true"]])
def test_resuming_what_is_finished_changes_nothing(
    dagrec: Dagrec, tmp_path: Path, whole: Path, keep: list[str]
) -> None:
    first = dagrec("train", *WORDS, *keep, "hydra.run.dir=run")
    words = ["trainer.epochs=5", "model=gru4rec", "progress=false", "threads=1"]
    answer = dagrec("train", "resume=run", *words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        f"{first.out}It had finished before: nothing was trained. trainer.epochs=MORE continues a "
        "network's run that was begun with keep_checkpoints=true.\n"
    )
    assert contents(tmp_path / "run") == contents(whole)


def test_checkpoints_that_a_kill_left_of_a_finished_run_go(dagrec: Dagrec, tmp_path: Path) -> None:
    words = [*WORDS, KEEP, "seeds=[0,1]", "hydra.run.dir=run"]
    assert dagrec("train", *words).code == 0
    before = contents(tmp_path / "run")
    (tmp_path / "run/checkpoints/seed0_epoch0000005.safetensors").unlink()
    check_refused(dagrec("train", "resume=run", "trainer.epochs=6"), "kept no checkpoint")
    answer = dagrec("train", "resume=run")
    assert (answer.code, answer.err) == (0, "")
    assert contents(tmp_path / "run") == before
    assert not (tmp_path / "run/checkpoints").exists()


def test_a_finished_run_shows_the_table_of_its_result(
    dagrec: Dagrec, tmp_path: Path, whole: Path
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    text = (tmp_path / "run/table.md").read_text()
    for file in (tmp_path / "run").glob("table.*"):  # they are for people, and not read back
        file.unlink()
    answer = dagrec("train", "resume=run")
    assert answer.code == 0
    note = next(line for line in text.splitlines() if line.startswith("n = "))
    assert note.split(";")[0] in " ".join(answer.out.split())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trainer.epochs=4"], ["trainer.epochs is 4 but the run has 5; it can only be raised"]),
        (["trainer.epochs=x"], ["trainer.epochs is 'x'; use a whole number"]),
        (["model.hidden=9"], ["model.hidden=9 would change one (now 8)", "trainer.epochs may be"]),
        (["seed=1"], ["seed=1 would change one (now 0)"]),
        (["model=popularity"], ["model=popularity would change one (now gru4rec)"]),
        (["nosuch.key=1"], ["nosuch.key=1 would change one"]),
        (["data.nosuch=1"], ["data.nosuch=1 would change one"]),
        (["logger=tensorboard"], ["logger=tensorboard would change one (now csv)"]),
        (["hydra.run.dir=other"], ["hydra.run.dir=other would change one"]),
        (["-m"], ["resume=FOLDER takes settings only; leave -m out"]),
    ],
)
def test_what_would_change_the_run_is_refused(
    dagrec: Dagrec, tmp_path: Path, whole: Path, words: list[str], parts: list[str]
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    check_refused(dagrec("train", "resume=run", *words), *parts)
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["threads=2"], "threads: 2\n"),
        (["trainer.checkpoint_every=2", "data.cache=false"], "cache: false\n"),
    ],
)
def test_what_decides_no_figure_may_change(
    dagrec: Dagrec, tmp_path: Path, ctrl_c_in: CtrlC, words: list[str], part: str
) -> None:
    with ctrl_c_in(2):
        assert dagrec("train", *WORDS, "hydra.run.dir=run").code == 130
    answer = dagrec("train", "resume=run", *words)
    assert (answer.code, answer.err) == (0, "")
    assert part in (tmp_path / "run/config.yaml").read_text()


def test_a_run_goes_on_where_its_data_have_moved(
    dagrec: Dagrec, tmp_path: Path, ctrl_c_in: CtrlC
) -> None:
    nodes = [{"id": 1}, {"id": 2, "mid": 2}, {"id": 3, "mid": 3}]
    links = [{"source": 1, "target": 2}, {"source": 2, "target": 3}]
    (tmp_path / "a.jsonl").write_text(f"{json.dumps({'nodes': nodes, 'links': links})}\n" * 8)
    with ctrl_c_in(2):
        dagrec("train", *WORDS, "data=compositions", "data.path=a.jsonl", "hydra.run.dir=run")
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert dagrec("train", "resume=run", "data.path=b.jsonl").code == 0
    request = json.loads((tmp_path / "run/request.json").read_text())
    assert [word for word in request["overrides"] if word.startswith("data.path=")] == [
        "data.path=b.jsonl"
    ]
    (tmp_path / "c.jsonl").write_text((tmp_path / "b.jsonl").read_text() * 2)
    check_refused(dagrec("train", "resume=run", "data.path=c.jsonl"), "the data has changed")


def test_a_data_file_elsewhere_is_named_again(
    dagrec: Dagrec, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, ctrl_c_in: CtrlC
) -> None:
    file = tmp_path_factory.mktemp("data") / "mine.jsonl"
    nodes = [{"id": 1}, {"id": 2, "mid": 2}, {"id": 3, "mid": 3}]
    links = [{"source": 1, "target": 2}, {"source": 2, "target": 3}]
    file.write_text(f"{json.dumps({'nodes': nodes, 'links': links})}\n" * 8)
    with ctrl_c_in(2):
        answer = dagrec(
            "train", *WORDS, "data=compositions", f"data.path={file}", "hydra.run.dir=run"
        )
    command = shlex.split(answer.err.partition("continue with: dagrec ")[2])
    assert command == ["train", "resume=run", "data=compositions", f"data.path={file}"]
    check_refused(dagrec("train", "resume=run"), "data.path is", f"add data.path={file}")
    assert dagrec(*command).code == 0
    file.write_text(file.read_text() * 2)
    check_refused(dagrec(*command), "run: the data has changed since the run began (sha256 ")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    dagrec: Dagrec, run: Path, whole: Path
) -> None:
    before, newest = sorted((run / "checkpoints").iterdir())
    assert [file.name[-8 - len(".safetensors") + 1 :] for file in (before, newest)] == [
        "0000002.safetensors",
        "0000003.safetensors",
    ]
    newest.write_bytes(newest.read_bytes()[:-1])
    answer = dagrec("train", "resume=run")
    assert answer.code == 0
    assert answer.err.count("\n") == 1
    assert answer.err.startswith(f"run/checkpoints/{newest.name}: damaged, no whole checkpoint")
    assert answer.err.endswith(f"; continuing from {before.name}.\n")
    assert contents(run) == contents(whole)


def test_no_whole_checkpoint_is_left(dagrec: Dagrec, run: Path) -> None:
    before, newest = sorted((run / "checkpoints").iterdir())
    newest.write_bytes(b"")
    save_file(load_file(before), before)  # the hash is gone
    answer = dagrec("train", "resume=run")
    assert answer.code == 2
    assert answer.err.splitlines()[-1] == (
        f"dagrec train: run/checkpoints/{before.name}: damaged, no whole checkpoint; run it again."
    )


def test_a_mixed_pair_is_noticed(dagrec: Dagrec, run: Path) -> None:
    """Weights of one epoch under the numbers of another."""
    before, newest = sorted((run / "checkpoints").iterdir())
    size = [int.from_bytes(file.read_bytes()[:8], "little") + 8 for file in (before, newest)]
    newest.write_bytes(newest.read_bytes()[: size[1]] + before.read_bytes()[size[0] :])
    answer = dagrec("train", "resume=run")
    assert "does not have the hash that it names" in answer.err
    assert answer.code == 0


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        ("request.json", '"format": 2', '"format": 3', ["format 3, but this version reads 2"]),
        ("request.json", '"format": 2', '"format": 1', ["made by dagrec 0.1.0; this version"]),
        ("request.json", '"format"', '"form', ["request.json: damaged ("]),
        ("request.json", '"data_sha256"', '"data"', ["request.json: damaged (Object missing"]),
        ("config.yaml", "hidden: 8", "hidden: [8", ["config.yaml: missing or damaged ("]),
        ("config.yaml", "hidden: 8", "hidden: ${oc.env:HOME}", ["must not look anything up"]),
        ("config.yaml", "seed: 0", "seed: ${oc.env:HOME}", ["must not look anything up"]),
        ("config.yaml", "dagrec_cli.losses.ce.Cro", "os.Cro", ["loss._target_ is 'os.CrossEn"]),
    ],
)
def test_a_folder_that_cannot_be_trusted(
    dagrec: Dagrec, run: Path, name: str, old: str, new: str, parts: list[str]
) -> None:
    text = (run / name).read_text()
    assert old in text
    (run / name).write_text(text.replace(old, new))
    check_refused(dagrec("train", "resume=run"), *parts)


def test_a_folder_that_is_no_run(dagrec: Dagrec, tmp_path: Path) -> None:
    check_refused(dagrec("train", "resume=nowhere"), "nowhere: no such folder; name the run folder")
    (tmp_path / "empty").mkdir()
    check_refused(dagrec("train", "resume=empty"), "empty: no request.json; it is no folder of")
    assert list((tmp_path / "empty").iterdir()) == []


def test_two_processes_on_one_run_folder(dagrec: Dagrec, run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with RunFolder(run).locked():
        refused = "run is in use by another process; wait for it, or write elsewhere"
        check_refused(dagrec("train", "resume=run"), refused)
        check_refused(dagrec("train", *WORDS, "rerun=true", "hydra.run.dir=run"), refused)
        words = ["-m", "hydra.sweep.dir=s", "hydra.sweep.subdir=../run"]
        told = " ".join(dagrec("train", *words, *WORDS).out.split())
        assert "in use by another process" in told
    after = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert {k: v for k, v in after.items() if k != run} == {
        k: v for k, v in before.items() if k != run
    }
    assert dagrec("train", "resume=run").code == 0


def test_a_new_run_in_an_old_folder_begins_anew_if_that_is_asked(
    dagrec: Dagrec, run: Path, whole: Path
) -> None:
    begun = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    answer = dagrec("train", *WORDS, "hydra.run.dir=run")
    check_refused(answer, "run: it holds a training already; resume=run continues it, rerun=true")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == begun
    assert dagrec("train", *WORDS, "rerun=true", "hydra.run.dir=run").code == 0
    assert contents(run) == contents(whole)
    assert not (run / "checkpoints").exists()


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    dagrec: Dagrec, tmp_path: Path, whole: Path
) -> None:
    plain, calls = os.fsync, count(1)

    def full(descriptor: int) -> None:
        if next(calls) > 7:  # five files of the setup, two checkpoints
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    with patch.object(os, "fsync", full):
        answer = dagrec("train", *WORDS, "trainer.checkpoint_every=1", "hydra.run.dir=run")
    check_refused(answer, "cannot write: the disk is full")
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert names == [f"seed0_epoch000000{epoch}.safetensors" for epoch in (1, 2)]
    assert dagrec("train", "resume=run").code == 0
    assert contents(tmp_path / "run") == contents(whole)


def test_a_file_larger_than_the_system_allows(run: Path, dagrec: Dagrec, whole: Path) -> None:
    size = max(path.stat().st_size for path in (run / "checkpoints").iterdir())
    limited = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2},) * 2); "
        "sys.argv = ['dagrec', 'train', 'resume=run']; from dagrec_cli.cli import main; main()"
    )
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    done = subprocess.run(
        [sys.executable, "-c", limited],
        capture_output=True,
        text=True,
        cwd=run.parent,
        # Python would cut what it compiles at the limit too, and stumble over that for ever.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "the file is larger than the system allows" in done.stderr
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    assert dagrec("train", "resume=run").code == 0
    assert contents(run) == contents(whole)
