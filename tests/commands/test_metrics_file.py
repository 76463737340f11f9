"""``metrics.csv`` grows line by line; a run that goes on leaves what an unbroken one does."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.errors import RunError
from dagrec_cli.runs.csv_files import MetricsFile
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
WORDS = ["model.hidden=8", "model.embedding_dim=4", "hydra.run.dir=run"]
ROWS = [{"epoch": n, "loss": 1 / n, "seconds": 0.5} for n in (1, 2, 3)]


def lines_of(file: Path) -> list[str]:
    text = file.read_text()
    assert text.endswith("\n")
    return [re.sub(r"^(\d+,\d+,[^,]*),[^,]*", r"\1", line) for line in text.splitlines()]


def test_each_epoch_is_appended_once(tmp_path: Path) -> None:
    metrics = MetricsFile(RunFolder(tmp_path))
    file = tmp_path / "metrics.csv"
    assert file.read_text() == "seed,epoch,loss,seconds\n"
    inode = file.stat().st_ino
    metrics.add(7, ROWS[:1])
    metrics.add(7, ROWS[:1])
    metrics.add(7, ROWS[:3])
    metrics.add(8, ROWS[:1])
    assert file.read_text().splitlines()[1:] == [
        "7,1,1.0,0.5",
        "7,2,0.5,0.5",
        f"7,3,{1 / 3},0.5",
        "8,1,1.0,0.5",
    ]
    assert file.stat().st_ino == inode  # appended, so that tail -f sees it


def test_epochs_without_validation_have_empty_cells(tmp_path: Path) -> None:
    metrics = MetricsFile(RunFolder(tmp_path), METRICS)
    metrics.add(0, [ROWS[0], {**ROWS[1], "validation_hr@1": 0.25}])
    header, first, second = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header.count("validation_") == 9
    assert first == "0,1,1.0,0.5" + "," * 9
    assert dict(zip(header.split(","), second.split(","), strict=True))["validation_hr@1"] == "0.25"


def test_a_link_put_in_its_place_is_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "profile"
    theirs.write_text("")
    metrics = MetricsFile(RunFolder(tmp_path))
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to(theirs)
    with pytest.raises(RunError, match="a symlink"):
        metrics.add(7, ROWS)
    assert theirs.read_text() == ""


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_it_can_be_watched_while_training(
    dagrec: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: str
) -> None:
    if logger == "tensorboard":
        pytest.importorskip("tensorboard", reason="logger=tensorboard needs its extra")
    seen: list[list[str]] = []
    plain = Trainer._epoch

    def watched(*arguments: Any) -> float:
        seen.append(lines_of(tmp_path / "run/metrics.csv"))
        return plain(*arguments)

    monkeypatch.setattr(Trainer, "_epoch", watched)
    words = ["seeds=[0,1]", "trainer.epochs=3", "trainer.validation_share=0.2", f"logger={logger}"]
    assert dagrec("train", *WORDS, *words).code == 0
    last = lines_of(tmp_path / "run/metrics.csv")
    chosen = [line.split(",")[:2] for line in last[1:] if line.endswith(",")]
    assert chosen == [[s, e] for s in "01" for e in "123"]
    assert seen == [last[: n + 1] for n in range(len(last) - 1)]


KILLED = """
import os, signal, sys
from dagrec_cli.training.trainer import Trainer
plain, calls = Trainer._epoch, iter(range(1, 99))
def epoch(*given):
    if next(calls) == {at}:
        with open("run/metrics.csv", "a") as file:
            file.write("1,4,0.12")  # as if it died while writing
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(*given)
Trainer._epoch = epoch
from dagrec_cli.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [3, 9])
def test_a_killed_run_goes_on_to_the_same_lines(
    dagrec: Callable[..., Any], tmp_path: Path, at: int
) -> None:
    words = ["train", *WORDS, "seeds=[0,1]", "trainer.epochs=5", "trainer.checkpoint_every=2"]
    assert dagrec(*words, "hydra.run.dir=whole").code == 0
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(at=at), *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "run/metrics.csv").read_text().endswith("\n1,4,0.12")
    assert dagrec("train", "resume=run").code == 0
    assert lines_of(tmp_path / "run/metrics.csv") == lines_of(tmp_path / "whole/metrics.csv")
