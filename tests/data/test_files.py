import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.files import file_errors, find_files, opened, sha256_of, sha256_of_all
from dagrec_cli.errors import DataError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.txt", "a.txt", "[c].txt", "2020/a.txt", "2021/a.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    for name in ("c.TXT.gz", ".hidden.txt", "2020/.git/a.txt", "2021/none/a.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("[c].txt", ["[c].txt"]),  # a file of that name, no glob
        ("*.txt", ["[c].txt", "a.txt", "b.txt"]),
        ("20*/*.txt", ["2020/a.txt", "2021/a.txt"]),
        ("2020/*", ["a.txt"]),
        ("./2*", ["2020/a.txt", "2021/a.txt"]),  # what is in the folders
        (["b.txt", "a.txt", "?.txt"], ["a.txt", "b.txt"]),  # sorted, each once
        (["b.txt", "2020/a.txt"], ["2020/a.txt", "b.txt"]),
        (".", ["2020/a.txt", "2021/a.txt", "[c].txt", "a.txt", "b.txt", "c.TXT.gz"]),
        ("20*/", ["2020/a.txt", "2021/a.txt"]),
        ("2021/none", None),  # a folder without such files
        ("z*", None),
        ([], None),
    ],
)
def test_files_are_found_and_named(
    folder: Path, path: str | list[str], names: list[str] | None
) -> None:
    if names is None:
        with pytest.raises(DataError, match=r"name a file of a text with data\.path=PATH"):
            find_files(path, (".txt",), "a text")
        return
    shards = find_files(path, (".txt",), "a text")
    assert [shard.name for shard in shards] == names
    for each in shards:
        assert each.path.read_text().endswith(each.name)


def test_a_file_that_is_given_twice_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    paths = [".", "a.txt", str(folder / "2020"), "**"]
    assert len(find_files(paths[:1], (".txt",), "a text")) == 6
    assert not caplog.messages  # "**" also finds folders whose files it finds
    assert len(find_files(paths[3:], (".txt",), "a text")) == 7
    assert not caplog.messages
    for _ in range(2):  # as a reader does for its hash and its content
        assert len(find_files(paths[:3], (".txt",), "a text")) == 6
    assert caplog.messages == [
        f"data.path has 2 of its files twice, read once: {folder}/2020/a.txt, a.txt"
    ]


def test_a_folder_that_cannot_be_looked_into_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root may look into any
    with pytest.raises(DataError, match=r"2020: Permission denied"):
        find_files("2020", (".txt",), "a text")


@pytest.mark.parametrize("path", ["", [], [""]])
def test_no_path_is_no_folder(path: str | list[str]) -> None:
    with pytest.raises(DataError, match=r"data\.path is empty; name a file of a text"):
        find_files(path, (".txt",), "a text")


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04", "a zip"), (b"\xfd7zXZ\0", "an xz"), ("é".encode("utf-16"), "a UTF-16")],
)
def test_what_is_packed_or_encoded_otherwise_is_named(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with (
        pytest.raises(DataError, match=f"x: {kind} file; give plain or gzipped text"),
        opened(path),
    ):
        pass


def test_a_file_that_is_not_there_is_none_that_cannot_be_read(folder: Path) -> None:
    """A wrong name is a wrong setting, whatever else is given and whatever may be left out."""
    for path in ("nowhere/x", ["a.txt", "nowhere"], "a.txt/x"):
        with pytest.raises(DataError, match=r": (no such file|Not a directory); "):
            find_files(path, (".txt",), "a text")
    (folder / "link.txt").symlink_to("nowhere")
    assert len(find_files(["link.txt", "a.txt"], (), "a text")) == 2


def test_the_hash_of_several_is_that_of_sha256sum(folder: Path) -> None:
    command = "LC_ALL=C sha256sum 2020/a.txt 2021/a.txt | sha256sum"
    told = subprocess.run(command, shell=True, capture_output=True, text=True).stdout
    assert sha256_of_all(find_files("20*/a.txt", (), "a text")) == told.split()[0]


def test_an_unreadable_file_is_a_user_error() -> None:
    with (
        pytest.raises(DataError, match=r"^a\.json: Permission denied; "),
        file_errors(Path("a.json")),
    ):
        raise PermissionError(13, "Permission denied")


def test_a_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = b"0123456789abcdef" * 100_000  # more than one piece
    (tmp_path / "x").write_bytes(content)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@contextmanager
def in_time() -> Iterator[None]:
    """Fail instead of waiting for ever."""

    def stop(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("data", ["compositions", "galaxy_workflows", "galaxy_connections"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to a pipe"])
def test_what_is_no_file_is_neither_waited_for_nor_read(
    tmp_path: Path, config: Any, data: str, kind: str
) -> None:
    path = tmp_path / "x"
    if kind == "a device":
        path.symlink_to("/dev/zero")  # without an end
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    source = build(config("data", data, path=str(path)), "data")
    message = f"{path}: a (pipe|device), which cannot be read twice; write it into a file first"
    with in_time():
        for use in (source.sha256, lambda: list(source.read())):
            with pytest.raises(DataError, match=message):
                use()
