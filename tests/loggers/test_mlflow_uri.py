"""Where MLflow keeps no runs is said at once, and nothing is made or changed there."""

import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from dagrec_cli.config.untrusted import leads_out
from dagrec_cli.data.plain_files import open_plain
from dagrec_cli.errors import ConfigError
from dagrec_cli.loggers.mlflow import MLFLOW_TABLES, tracking_store


def make(file: Path, *tables: str) -> None:
    with closing(sqlite3.connect(file)) as base, base:
        for table in tables:
            base.execute(f"CREATE TABLE {table} (x)")


@pytest.fixture(autouse=True)
def _below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "uri",
    [
        *("http://127.0.0.1:5000", "https://mlflow.example/sub", "databricks"),
        *("postgresql://me@host/base", "mysql+pymysql://host/base"),
    ],
)
def test_what_is_no_file_is_left_to_mlflow(uri: str) -> None:
    assert tracking_store(uri) == (uri, None)


@pytest.mark.parametrize("exists", [False, True])
def test_a_file_of_sqlite(tmp_path: Path, exists: bool) -> None:
    if exists:
        make(tmp_path / "x.db", *MLFLOW_TABLES, "more")
    expected = (f"sqlite:///{tmp_path}/x.db", tmp_path / "x.db")
    assert tracking_store("sqlite:///x.db") == tracking_store(f"sqlite:///{tmp_path}/x.db")
    assert tracking_store("sqlite:///x.db") == expected
    assert [file.name for file in tmp_path.iterdir()] == ["x.db"] * exists


def test_an_empty_file_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    assert tracking_store("sqlite:///x.db")[1] == tmp_path / "x.db"


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("mlruns", "use sqlite:///FILE.db, http://HOST:PORT of an MLflow server, or"),
        ("mlruns/", "such as sqlite:///mlruns/mlflow.db."),
        ("file:///data/mlruns", "such as sqlite:///data/mlruns/mlflow.db."),
        ("runs.db", "such as sqlite:///runs.db."),
        ("sqlite://runs.db", "such as sqlite:///runs.db."),
        ("http:/127.0.0.1:5000", "no place where MLflow keeps runs"),
        ("ftp://host/x", "no place where MLflow keeps runs"),
        ("", "such as sqlite:///outputs/mlflow.db."),
        ("sqlite:///", "name a file after sqlite:///"),
        ("sqlite:///a?b.db", "name a file after sqlite:///, without '?'"),
        ("sqlite:///folder", "folder: a folder; name a file"),
        ("sqlite:///pipe", "pipe: a pipe; name a file"),
        ("sqlite:///mine.db", "mine.db, a database without MLflow's tables, which are not added"),
        ("sqlite:///linked.db", "linked.db, a database without MLflow's tables"),
        ("sqlite:///text.db", "text.db, which SQLite cannot read (file is not a database)"),
    ],
)
def test_what_is_none_is_one_line(tmp_path: Path, uri: str, part: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    make(tmp_path / "mine.db", "orders", "alembic_version")
    (tmp_path / "linked.db").symlink_to("mine.db")
    (tmp_path / "text.db").write_text("no database, but more than a hundred bytes of text" * 9)
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    with pytest.raises(ConfigError) as error:
        tracking_store(uri)
    assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


def test_tables_that_another_job_is_making_are_waited_for(tmp_path: Path) -> None:
    import fcntl

    file = tmp_path / "x.db"
    make(file, "alembic_version")
    with open_plain(tmp_path / ".x.db.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def end() -> None:
            time.sleep(0.2)
            make(file, *(MLFLOW_TABLES - {"alembic_version"}))
            fcntl.flock(lock, fcntl.LOCK_UN)

        other = threading.Thread(target=end)
        other.start()
        assert tracking_store("sqlite:///x.db")[1] == file
        other.join()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///outputs/mlflow.db", False),
        ("sqlite:////etc/x.db", True),
        ("sqlite:///../x.db", True),
        ("sqlite:///link/x.db", True),
        ("http://stranger.example", True),
    ],
)
def test_a_run_folder_may_name_a_file_below_alone(tmp_path: Path, uri: str, expected: bool) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert leads_out("logger.uri", uri) == expected
