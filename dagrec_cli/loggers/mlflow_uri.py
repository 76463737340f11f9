"""Where MLflow keeps runs: what its tracking URI says, looked at before anything is touched."""

import fcntl
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from dagrec_cli.config.untrusted import SQLITE
from dagrec_cli.config.where import user_path
from dagrec_cli.data.plain_files import kind_of, open_plain
from dagrec_cli.errors import ConfigError

MLFLOW_TABLES = {"alembic_version", "experiments", "runs"}  # of MLflow, whatever its version
REMOTE = re.compile(r"(https?|databricks|(postgresql|mysql|mssql)(\+\w+)?)://\S+|databricks")
STORES = "sqlite:///FILE.db, http://HOST:PORT of an MLflow server, or the URI of another database"


def tracking_store(uri: str) -> tuple[str, Path | None]:
    """Return a tracking URI that means the same everywhere, and its file if it is one of SQLite.

    Raises
    ------
    ConfigError
        If MLflow keeps no runs there, or the file is of somebody else.
    """
    if REMOTE.fullmatch(uri):
        return uri, None
    if not uri.startswith(SQLITE):
        bare = re.sub("^(file|sqlite):/*", "", uri) or "outputs"
        example = bare if re.search(r"\.(db|sqlite\d?)$", bare) else f"{bare.rstrip('/')}/mlflow.db"
        why = "no place where MLflow keeps runs (it has given up folders)"
        raise ConfigError(f"logger.uri is {uri!r}: {why}; use {STORES}, such as {SQLITE}{example}.")
    name = uri.removeprefix(SQLITE)
    if not name or "?" in name:
        raise ConfigError(f"logger.uri is {uri!r}; name a file after {SQLITE}, without '?'.")
    file = user_path(name).absolute()
    if file.exists() or file.is_symlink():
        _check_own(file)
    return f"{SQLITE}{file}", file


def _check_own(file: Path) -> None:
    """Refuse to add MLflow's tables to a file that has others."""
    kind = kind_of(file.resolve())
    if kind:
        raise ConfigError(f"logger.uri names {file}: {kind}; name a file for it: {STORES}.")
    if _is_foreign(file) and _is_foreign(file, file.with_name(f".{file.name}.lock")):
        raise ConfigError(
            f"logger.uri names {file}, a database without MLflow's tables, which are not added to "
            "it; name another file, new or of MLflow."
        )


def _is_foreign(file: Path, lock: Path | None = None) -> bool:
    """Return whether a database has tables, but not MLflow's, which another job may be making."""
    try:
        if lock and lock.exists():
            with open_plain(lock, "r+b") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as base:
            names = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise ConfigError(
            f"logger.uri names {file}, which SQLite cannot read ({error}); name another file."
        ) from error
    return bool(names) and not names >= MLFLOW_TABLES
