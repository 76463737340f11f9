"""MLflow: one run per experiment, the jobs of a sweep below one parent run."""

import fcntl
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.config.untrusted import SQLITE
from dagrec_cli.config.where import user_path
from dagrec_cli.data.plain_files import kind_of, open_plain, read_plain
from dagrec_cli.errors import ConfigError
from dagrec_cli.loggers.base import (
    EpochRows,
    RunLogger,
    check_installed,
    name_of,
    params_of,
    scores_of,
)
from dagrec_cli.runs.folder import MLFLOW_RUN, RunFolder
from dagrec_cli.runs.provenance import Request, command_line, git_commit
from dagrec_cli.runs.result import Finished, Result

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLFLOW_TABLES = {"alembic_version", "experiments", "runs"}  # of MLflow, whatever its version
REMOTE = re.compile(r"(https?|databricks|(postgresql|mysql|mssql)(\+\w+)?)://\S+|databricks")
STORES = "sqlite:///FILE.db, http://HOST:PORT of an MLflow server, or the URI of another database"
ARTEFACTS = "mlflow_artifacts"
STORE_LOCK = ".mlflow.lock"
ENVIRONMENT = {  # of MLflow, which reads them from the environment, unless the user has set them
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # seconds; its own 120, seven times, would be silence
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
PARENT = "mlflow.parentRunId"
STATUS = {"interrupted": "KILLED", "failed": "FAILED", "finished": "FINISHED"}  # worst first
SECONDS = 1.0  # between two writings; one takes longer than an epoch on small data


class MlflowLogger(RunLogger):
    """Logs settings, a metric ``seed_0/loss`` (…) per epoch, final metrics and the folder's files.

    The run's id is kept in the run folder, so that ``resume`` continues the same MLflow run, and
    that of a sweep's parent in the sweep's folder.

    Parameters
    ----------
    uri
        MLflow's tracking URI: ``http://HOST:PORT`` of a server, ``sqlite:///FILE``, another
        database's. An SQLite file is made if need be, with a folder for artefacts beside it.
    experiment
        Name of the MLflow experiment.

    Raises
    ------
    ConfigError
        If MLflow, or what it needs for databases, is not installed, or the URI is none of those.
    """

    def __init__(self, *, uri: str, experiment: str) -> None:
        check_installed("mlflow", "mlflow", "sqlalchemy", "alembic")
        self.uri, self.file = tracking_store(uri)
        self.experiment = experiment
        self._run: str | None = None

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Find or create the run, and log its settings."""
        from mlflow.entities import Param

        self._folder = folder
        self._parent: str | None = None
        self._last: dict[int, int] = {}
        self._waiting: list[Any] = []
        self._written = time.monotonic()
        with self._alone(request):
            self._client = client = _connect(self.uri)
            self._experiment = self._experiment_of(client)
            parent = self._run_of(RunFolder(Path(request.sweep)), {}) if request.sweep else None
            self._run = run = self._run_of(folder, {PARENT: parent} if parent else {})
        data = client.get_run(run).data
        self._parent = data.tags.get(PARENT)
        for run_id in filter(None, (self._parent, run)):
            client.update_run(run_id, "RUNNING")
        client.set_tag(run, "mlflow.source.name", command_line("train", request.overrides))
        client.set_tag(run, "mlflow.source.git.commit", git_commit())
        if "error" in data.tags:
            client.delete_tag(run, "error")
        settings = params_of(config, request).items()
        params = [Param(key, str(value)) for key, value in settings if key not in data.params]
        client.log_batch(run, params=params)

    def epochs(self, seed: int, rows: EpochRows) -> None:
        """Log the epochs that the store has not, at most once a second."""
        if seed not in self._last:
            history = self._client.get_metric_history(str(self._run), f"seed_{seed}/loss")
            self._last[seed] = max((metric.step for metric in history), default=0)
        for row in rows:
            if (epoch := int(row["epoch"])) > self._last[seed]:
                numbers = {name: value for name, value in row.items() if name != "epoch"}
                self._wait(numbers, f"seed_{seed}/", epoch)
                self._last[seed] = epoch
        if time.monotonic() - self._written >= SECONDS:
            self._write()

    def end(self, result: Result) -> None:
        """Log the final metrics and the folder's files, and close the run with its status."""
        if self._run is None:  # stopped while it connected
            return
        client, run = self._client, self._run
        if isinstance(result, Finished):
            self._wait(scores_of(result))
            for seed, scores in result.per_seed.items():
                self._wait(scores, f"seed_{seed}/")
        self._write()
        _log_files(client, run, self._folder)
        if not isinstance(result, Finished):
            client.set_tag(run, "error", result.error)
        client.set_terminated(run, STATUS[result.status])
        if self._parent:
            jobs = client.search_runs([self._experiment], f"tags.`{PARENT}` = '{self._parent}'")
            statuses = {job.info.status for job in jobs}
            if "RUNNING" not in statuses:  # the last of the jobs: the worst of them counts
                worst = next(status for status in STATUS.values() if status in statuses)
                client.set_terminated(self._parent, worst)

    def end_sweep(self, folder: RunFolder) -> None:
        """Give the parent run the table and the report."""
        if (folder.path / MLFLOW_RUN).exists():
            run = read_plain(folder.path / MLFLOW_RUN).decode().strip()
            _log_files(_connect(self.uri), run, folder)

    def _alone(self, request: Request) -> AbstractContextManager[None]:
        """Return what lets one job after another find or make what they share."""
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return _locked_store(_lock_of(self.file))
        return _locked_store(Path(request.sweep, STORE_LOCK)) if request.sweep else nullcontext()

    def _wait(self, numbers: Mapping[str, float], prefix: str = "", step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [
            Metric(f"{prefix}{name_of(name)}", value, now, step) for name, value in numbers.items()
        ]

    def _write(self) -> None:
        self._client.log_batch(str(self._run), self._waiting)  # in parts, where it takes no more
        self._waiting, self._written = [], time.monotonic()

    def _experiment_of(self, client: "MlflowClient") -> str:
        artefacts = (self.file.parent / ARTEFACTS).as_uri() if self.file else None
        if experiment := client.get_experiment_by_name(self.experiment):
            return str(experiment.experiment_id)
        return str(client.create_experiment(self.experiment, artefacts))

    def _run_of(self, folder: RunFolder, tags: Mapping[str, str]) -> str:
        """Return the run that a run folder or a sweep's folder names, made first if need be."""
        path = folder.path
        if (path / MLFLOW_RUN).exists():
            run = read_plain(path / MLFLOW_RUN).decode().strip()
            if _exists(self._client, run):
                return run
        tags = {"folder": str(path), **tags}
        created = self._client.create_run(self._experiment, tags=tags, run_name=path.name)
        folder.write_text(MLFLOW_RUN, f"{created.info.run_id}\n")
        return str(created.info.run_id)


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
    lock = _lock_of(file)
    if _is_foreign(file):
        # Whoever holds the lock may be making the tables.
        with _locked_store(lock) if lock.exists() else nullcontext():
            is_foreign = _is_foreign(file)
        if is_foreign:
            raise ConfigError(
                f"logger.uri names {file}, a database without MLflow's tables, which are not added "
                "to it; name another file, new or of MLflow."
            )


def _is_foreign(file: Path) -> bool:
    """Return whether a database has tables, but not MLflow's."""
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as base:
            names = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise ConfigError(
            f"logger.uri names {file}, which SQLite cannot read ({error}); name another file."
        ) from error
    return bool(names) and not names >= MLFLOW_TABLES


def _lock_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.lock")


@contextmanager
def _locked_store(file: Path) -> Iterator[None]:
    """Wait until no other process holds a file, and hold it."""
    with open_plain(file, "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _connect(uri: str) -> "MlflowClient":
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised too
    return MlflowClient(uri)


def _log_files(client: "MlflowClient", run: str, folder: RunFolder) -> None:
    for file in sorted(folder.path.iterdir()):
        if file.is_file() and not (file.is_symlink() or file.name.startswith(".")):
            client.log_artifact(run, str(file))


def _exists(client: "MlflowClient", run: str) -> bool:
    from mlflow import MlflowException

    try:
        return bool(client.get_run(run).info.lifecycle_stage == "active")
    except MlflowException:
        return False
