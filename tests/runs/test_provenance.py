import subprocess
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import pytest

from dagrec_cli.runs import provenance as module
from dagrec_cli.runs.provenance import Request, command_line, git_commit, origin


def test_the_command_line_can_be_pasted_into_a_shell() -> None:
    found = command_line("data describe", ["seeds=[0,1]", "data.path=my file.json"])
    assert found == "dagrec data describe 'seeds=[0,1]' 'data.path=my file.json'"


def test_versions_are_those_installed() -> None:
    versions = origin("train", Request({}, [])).versions
    assert versions["torch"] == version("torch")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in which the module seems to lie."""
    file = tmp_path / "dagrec_cli/runs/provenance.py"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr(module, "__file__", str(file))
    return tmp_path


def git(folder: Path, *words: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
    command = ["git", "-C", str(folder), *settings, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_and_whether_it_was_changed(checkout: Path) -> None:
    git(checkout, "init", "--quiet")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "one")
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_commit() == commit
    (checkout / "notes.txt").touch()  # nothing that was committed
    assert git_commit() == commit
    (checkout / "dagrec_cli/runs/provenance.py").write_text("changed")
    assert git_commit() == f"{commit}+"


def test_no_commit_outside_a_checkout(checkout: Path) -> None:
    assert git_commit() is None


def test_no_commit_without_git_or_before_the_first(checkout: Path) -> None:
    git(checkout, "init", "--quiet")
    assert git_commit() is None
    with patch.object(subprocess, "run", side_effect=FileNotFoundError):
        assert git_commit() is None
