import fcntl
import os
import re
from pathlib import Path
from typing import IO
from unittest.mock import patch

import pytest

from dagrec_cli.errors import InUseError
from dagrec_cli.runs.folder import LOCK, RunFolder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_come_whole_and_in_place(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a/b")
    assert folder.write_text("x.txt", "é\r\n") == tmp_path / "a/b/x.txt"
    assert (tmp_path / "a/b/x.txt").read_bytes() == "é\r\n".encode()
    folder.write_json("x.json", {"ü": [1]})
    assert (tmp_path / "a/b/x.json").read_text() == '{\n  "ü": [\n    1\n  ]\n}\n'
    assert names(folder.path) == ["x.json", "x.txt"]


@pytest.mark.parametrize("reason", [OSError("full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, reason: BaseException
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_text("x.txt", "old")

    def fill(file: IO[bytes]) -> None:
        file.write(b"ne")
        raise reason

    with pytest.raises(type(reason)):
        folder.write("x.txt", fill)
    with pytest.raises(type(reason)):
        folder.write("y.txt", fill)
    assert names(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_a_flush_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_text("x.txt", "old")
    with patch.object(os, "fsync", side_effect=OSError), pytest.raises(OSError):  # noqa: PT011
        folder.write_text("x.txt", "new")
    assert names(tmp_path) == ["x.txt"]
    assert (tmp_path / "x.txt").read_text() == "old"


def test_a_file_is_renamed_only_after_it_is_on_the_disk(tmp_path: Path) -> None:
    seen = []
    with patch.object(os, "fsync", lambda descriptor: seen.extend(names(tmp_path))):
        RunFolder(tmp_path).write_text("x.txt", "new")
    (aside,) = seen
    assert re.fullmatch(r"\.dagrec-[0-9a-f]{16}\.tmp", aside)


def test_one_process_holds_a_folder_and_clears_what_killed_ones_were_writing(
    tmp_path: Path,
) -> None:
    (tmp_path / ".dagrec-0123456789abcdef.tmp").write_text("half")
    held = tmp_path / ".dagrec-fedcba9876543210.tmp"
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # it is being written
        with RunFolder(tmp_path).locked():
            assert names(tmp_path) == [held.name, LOCK]
            again = RunFolder(tmp_path).locked("x.dir")
            with pytest.raises(InUseError, match=r"elsewhere with x\.dir=FOLDER"), again:
                pass
    assert names(tmp_path) == [held.name]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RunFolder(tmp_path).write_json("x.json", {"loss": float("nan")})
    assert names(tmp_path) == []


def test_an_empty_folder_goes_with_the_empty_ones_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    RunFolder(Path("outputs/train/now")).remove_if_empty()
    assert names(tmp_path) == []
    assert tmp_path.is_dir()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/mine").touch()
    RunFolder(Path("outputs/train/now")).remove_if_empty()
    assert names(tmp_path / "outputs") == ["mine"]


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_text("x.txt", "")
    folder.remove_if_empty()
    assert names(tmp_path / "run") == ["x.txt"]


def test_folders_of_the_user_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above and beside the working directory only the run folder itself is removed."""
    here = tmp_path / "a/here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    RunFolder(Path(".")).remove_if_empty()
    RunFolder(tmp_path / "shared/run").remove_if_empty()
    assert names(tmp_path) == ["a", "shared"]
    assert here.is_dir()
    assert names(tmp_path / "shared") == []
