"""The user's files stay theirs: a command fills a folder only if it is empty or its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Dagrec = Callable[..., Any]

SHORT = "model=popularity"
TRAIN = ("train", SHORT)
SWEEP = ("train", "-m", "seed=0,1", SHORT)
ROW = {"title": "one", "seeds": [0], "rows": [{"name": "p", "overrides": [SHORT]}]}


def content(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder below one, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of the user's whose names are those that a run has."""
    folder = tmp_path / "proj"
    for name in ("checkpoints/best.pt", "tensorboard/events.mine", "config.yaml", "0/notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (folder / "result.json").write_text('{"status": "great", "accuracy": 1}')
    return folder


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ((*TRAIN, "hydra.run.dir=proj"), "hydra.run.dir"),
        ((*SWEEP, "hydra.sweep.dir=proj"), "hydra.sweep.dir"),
        ((*SWEEP, "hydra.sweep.dir=s", "hydra.sweep.subdir=../proj/${seed}"), "hydra.sweep.subdir"),
        (("evaluate", "run={run}", "hydra.run.dir=proj"), "hydra.run.dir"),
        (("compare", "{run}", "hydra.run.dir=proj"), "hydra.run.dir"),
        (("reproduce", "hydra.run.dir=proj"), "hydra.run.dir"),
        (("data", "export", "output=proj"), "output"),
    ],
    ids=lambda value: value[0] + value[-1][-9:] if isinstance(value, tuple) else "",
)
def test_a_folder_of_the_user_is_refused(
    dagrec: Dagrec, trained: Any, project: Path, words: tuple[str, ...], setting: str
) -> None:
    before = content(project)
    answer = dagrec(*(word.format(run=trained.run) if "{run}" in word else word for word in words))
    assert "name a new folder" in answer.refusal
    assert f"{setting}=FOLDER" in answer.err
    assert content(project) == before


@pytest.mark.parametrize("place", ["study.db", "0"])
def test_a_search_follows_no_link(dagrec: Dagrec, tmp_path: Path, place: str) -> None:
    pytest.importorskip("optuna", reason="hydra/sweeper=optuna needs its extra")
    mine, search = tmp_path / "mine", tmp_path / "s"
    mine.mkdir()
    search.mkdir()
    (search / place).symlink_to(mine / place if place == "study.db" else mine)
    words = ["hydra/sweeper=optuna", "trainer.validation_share=0.3", "hydra.sweep.dir=s"]
    (search / "sweep_request.json").write_text('{"overrides": []}')
    choice = "model.ranking=choice(one_hot,counts)"
    answer = dagrec("train", "-m", *words, SHORT, choice, "hydra.sweeper.n_trials=1")
    assert answer.code == 2
    assert f"s/{place}: a symlink, where a run folder has" in answer.err
    assert content(mine) == {}


@pytest.mark.parametrize("job", [pytest.param("0", marks=pytest.mark.slow), "deep/0"])
def test_a_sweep_follows_no_link_to_a_job(dagrec: Dagrec, tmp_path: Path, job: str) -> None:
    subdir = "hydra.sweep.subdir=" + job.replace("0", "${hydra.job.num}")
    assert dagrec(*SWEEP, "hydra.sweep.dir=s", subdir).code == 0
    shutil.move(tmp_path / "s" / job.split("/")[0], tmp_path / "mine")
    (tmp_path / "s" / job.split("/")[0]).symlink_to(tmp_path / "mine")
    before = content(tmp_path / "mine")
    answer = dagrec(*SWEEP, "hydra.sweep.dir=s", subdir)
    assert "a symlink, where a run folder has a folder" in answer.refusal
    assert content(tmp_path / "mine") == before


@pytest.mark.slow
def test_a_command_keeps_to_its_own_folders(dagrec: Dagrec, trained: Any, tmp_path: Path) -> None:
    """A result of another command is not replaced, nor the run that is asked about."""
    shutil.copytree(trained.run, tmp_path / "r")
    evaluate = ("evaluate", "run=r")
    assert dagrec(*evaluate, "hydra.run.dir=e").code == 0
    assert dagrec("compare", "r", "hydra.run.dir=c").code == 0
    assert dagrec(*SWEEP, "hydra.sweep.dir=s").code == 0
    before = content(tmp_path)
    for words, told in {
        (*evaluate, "hydra.run.dir=r"): "that of a training",
        ("evaluate", "run=e", "hydra.run.dir=e", "overwrite=true"): "the run itself",
        (*TRAIN, "hydra.run.dir=e"): "that of an evaluation",
        (*TRAIN, "hydra.run.dir=s"): "that of a sweep",
        (*TRAIN, "hydra.run.dir=c"): "that of tables",
        ("compare", "r", "hydra.run.dir=r"): "that of a training",
        (*SWEEP, "hydra.sweep.dir=r"): "that of a training",
    }.items():
        assert told in dagrec(*words).refusal
    assert content(tmp_path) == before


@pytest.mark.slow
def test_a_folder_of_its_own_is_filled_again(dagrec: Dagrec, trained: Any, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/.gitkeep").touch()
    (tmp_path / "hidden/.dagrec-0123456789abcdef.tmp").touch()  # of a process that was killed
    for words in (
        (*TRAIN, "hydra.run.dir=hidden"),
        ("evaluate", f"run={trained.run}", "hydra.run.dir=e"),
        ("compare", str(trained.run), "hydra.run.dir=c"),
        ("data", "export", "output=x", "format=gru4rec"),
        ("data", "export", "output=y", "format=recbole"),
        ("data", "export", "output=z", "format=csv"),
        ("predict", f"run={trained.run}", "context=[table_1]", "on_unknown=skip", "output=p.jsonl"),
    ):
        assert dagrec(*words).code == 0, words
        asked = "rerun=true" if words[0] == "train" else "overwrite=true"
        before = content(tmp_path)
        assert asked in dagrec(*words).refusal
        assert content(tmp_path) == before
        assert dagrec(*words, asked).code == 0, words
    sweep = (*SWEEP, "hydra.sweep.dir=s")
    assert [dagrec(*sweep).code, dagrec(*sweep, "seed=0,1,2").code] == [0, 0]  # continues
    before = content(tmp_path)
    answer = dagrec(*sweep, "seed=1,0")
    told = "s/0: it holds a finished run of other settings; rerun=true replaces it"
    assert told in answer.refusal
    assert content(tmp_path) == before
    assert not [*tmp_path.rglob("*.tmp"), *tmp_path.rglob(".lock")]


@pytest.mark.parametrize("kind", ["symlink", "dangling", "pipe", "/dev/null", "/dev/stdout", "-"])
@pytest.mark.parametrize("command", ["predict", "export"])
def test_only_a_plain_file_is_replaced(
    dagrec: Dagrec, trained: Any, tmp_path: Path, kind: str, command: str
) -> None:
    mine, output = tmp_path / "mine", tmp_path / "output"
    mine.write_text("mine")
    if kind == "pipe":
        os.mkfifo(output)
    elif kind in ("symlink", "dangling"):
        output.symlink_to(mine if kind == "symlink" else tmp_path / "none")
    else:
        output = Path(kind)
    context = ["context=[table_1]"] if command == "predict" else []
    answer = dagrec(command, f"run={trained.run}", *context, f"output={output}")
    assert answer.refusal.startswith(f"dagrec {command}: output is {str(output)!r}, ")
    assert "name a plain file" in answer.err
    assert mine.read_text() == "mine"
    assert kind.startswith(("/dev", "-")) or not output.is_file() or output.is_symlink()


def test_two_writers_of_one_file_are_both_whole(trained: Any, tmp_path: Path) -> None:
    """Whoever ends last, the file holds one answer per line, and nothing else is left."""
    lines = [json.dumps({"context": ["table_1"], "n": n}) for n in range(300)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    words = [f"run={trained.run}", "input=in.jsonl", "output=out.jsonl", "overwrite=true"]
    command = [sys.executable, "-m", "dagrec_cli", "predict", *words]
    running = [subprocess.Popen(command, cwd=tmp_path) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(answers) == len(lines)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]
