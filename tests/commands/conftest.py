"""A user at the keyboard: command lines run in this process, in a folder of their own."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hydra.core.global_hydra import GlobalHydra

from dagrec_cli.cli import main
from dagrec_cli.config.where import use_code
from hand_made import result_of

SHORT = ("trainer.epochs=2",)


@dataclass(frozen=True)
class Answer:
    """What came back from a command line."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def runs(self) -> list[Path]:
        """The run folders that it left, oldest first."""
        return sorted(self.folder.glob("outputs/train/*"))

    @property
    def run(self) -> Path:
        (run,) = self.runs
        return run

    @property
    def refusal(self) -> str:
        """The one line that says what was refused; nothing else is written to the terminal."""
        assert (self.code, self.out, self.err.count("\n")) == (2, "", 1), self.out + self.err
        return self.err

    def result(self) -> dict[str, Any]:
        return result_of(self.run)


Dagrec = Callable[..., Answer]
DagrecIn = Callable[[Path, Sequence[str]], Answer]


def run_dagrec(folder: Path, words: Sequence[str]) -> Answer:
    """Run ``dagrec WORDS`` in a folder."""
    GlobalHydra.instance().clear()
    out, err = StringIO(), StringIO()
    code: Any = 0
    with (
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["dagrec", *words]),
        patch.dict(os.environ, {"COLUMNS": "100"}),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        finally:
            logging.getLogger().setLevel(logging.WARNING)  # hydra.verbose lowers it
            use_code([])  # the next command is another process's
    return Answer(code or 0, out.getvalue(), err.getvalue(), folder)


@pytest.fixture(autouse=True)
def _no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no report, whose pictures take seconds, but for tests that have it in their name."""
    if "report" not in request.node.name:
        path = "dagrec_cli.reporting.report.write_report"
        monkeypatch.setattr(path, lambda folder, *words: folder.path / "report.html")


@pytest.fixture
def dagrec(tmp_path: Path) -> Dagrec:
    """A function of words: ``dagrec("train", "model=popularity")`` runs in ``tmp_path``."""
    return lambda *words: run_dagrec(tmp_path, words)


@pytest.fixture(scope="session")
def dagrec_in() -> DagrecIn:
    """A function of a folder and words, for fixtures that share a run."""
    return run_dagrec


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """Two seeds of a short GRU4Rec on the synthetic data; for reading only."""
    folder = tmp_path_factory.mktemp("trained")
    return run_dagrec(folder, ["train", *SHORT, "seeds=[0,1]"])
