"""MLflow: one run per experiment in an SQLite store, the jobs of a sweep below one parent run."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.data.plain_files import open_plain, read_plain
from dagrec_cli.reporting.loggers.base import (
    Rows,
    check_installed,
    name_of,
    params_of,
    scores_of,
)
from dagrec_cli.reporting.provenance import Request, provenance
from dagrec_cli.reporting.run_folder import MLFLOW_RUN, RunFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTEFACTS = "mlflow_artifacts"
PARENT = "mlflow.parentRunId"
STATUS = {"interrupted": "KILLED", "failed": "FAILED", "finished": "FINISHED"}
SECONDS = 1.0  # between two writings; one takes longer than an epoch on small data
BATCH = 1000  # metrics that MLflow takes at once
PARAMS = 100  # params that it takes at once


class MlflowLogger:
    """Logs settings, a metric ``seed_0/loss`` (…) per epoch, final metrics and the folder's files.

    The run's id is kept in the run folder, so that ``resume`` goes on in the same MLflow run, and
    that of a sweep's parent in the sweep's folder.

    Parameters
    ----------
    store
        The SQLite file; made if need be, with a folder for artefacts beside it.
    experiment
        Name of the MLflow experiment.

    Raises
    ------
    ConfigError
        If MLflow, or what it needs for SQLite, is not installed.
    """

    def __init__(self, *, store: str, experiment: str) -> None:
        check_installed("mlflow", "mlflow", "sqlalchemy", "alembic")
        self.store = Path(store).expanduser().absolute()
        self.experiment = experiment

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Find or create the run, and log its settings."""
        from mlflow.entities import Param

        self._folder = folder
        self.store.parent.mkdir(parents=True, exist_ok=True)
        with _held(self.store.with_name(f".{self.store.name}.lock")):  # jobs may begin at once
            self._client = client = _connect(self.store)
            self._experiment = _experiment(client, self.experiment, self.store.parent / ARTEFACTS)
            parent = self._run_of(RunFolder(Path(request.sweep)), {}) if request.sweep else None
            self._run = self._run_of(folder, {PARENT: parent} if parent else {})
        found = client.get_run(self._run).data
        self._parent = found.tags.get(PARENT)
        for run in filter(None, (self._parent, self._run)):
            client.update_run(run, "RUNNING")
        came_from = provenance("train", request.overrides)
        client.set_tag(self._run, "mlflow.source.name", came_from["command_line"])
        client.set_tag(self._run, "mlflow.source.git.commit", came_from["git_commit"])
        if "error" in found.tags:
            client.delete_tag(self._run, "error")
        settings = params_of(config, request).items()
        params = [Param(key, str(value)) for key, value in settings if key not in found.params]
        for start in range(0, len(params), PARAMS):
            client.log_batch(self._run, params=params[start : start + PARAMS])
        self._last: dict[int, int] = {}
        self._waiting: list[Any] = []
        self._written = time.monotonic()

    def epochs(self, seed: int, rows: Rows) -> None:
        """Log the epochs that the store has not, at most once a second."""
        if seed not in self._last:
            known = self._client.get_metric_history(self._run, f"seed_{seed}/loss")
            self._last[seed] = max((metric.step for metric in known), default=0)
        for row in rows:
            if (epoch := int(row["epoch"])) > self._last[seed]:
                numbers = {name: value for name, value in row.items() if name != "epoch"}
                self._wait(numbers, f"seed_{seed}/", epoch)
                self._last[seed] = epoch
        if time.monotonic() - self._written >= SECONDS:
            self._write()

    def end(self, result: Mapping[str, Any]) -> None:
        """Log the final metrics and the folder's files, and close the run with its status."""
        client, run = self._client, self._run
        self._wait(scores_of(result))
        for seed, scores in result.get("per_seed", {}).items():
            self._wait(scores, f"seed_{seed}/")
        self._write()
        for file in sorted(self._folder.path.iterdir()):
            if file.is_file() and not (file.is_symlink() or file.name.startswith(".")):
                client.log_artifact(run, str(file))
        if "error" in result:
            client.set_tag(run, "error", result["error"])
        client.set_terminated(run, STATUS[result["status"]])
        if self._parent:
            jobs = client.search_runs([self._experiment], f"tags.`{PARENT}` = '{self._parent}'")
            seen = {job.info.status for job in jobs}
            if "RUNNING" not in seen:
                client.set_terminated(self._parent, next(s for s in STATUS.values() if s in seen))

    def _wait(self, numbers: Mapping[str, float], prefix: str = "", step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [
            Metric(f"{prefix}{name_of(name)}", value, now, step) for name, value in numbers.items()
        ]

    def _write(self) -> None:
        for start in range(0, len(self._waiting), BATCH):
            self._client.log_batch(self._run, self._waiting[start : start + BATCH])
        self._waiting = []
        self._written = time.monotonic()

    def _run_of(self, folder: RunFolder, tags: Mapping[str, str]) -> str:
        """Return the run that a run folder or a sweep's folder names, made first if need be."""
        path = folder.path
        if (path / MLFLOW_RUN).exists():
            named = read_plain(path / MLFLOW_RUN).decode().strip()
            if _exists(self._client, named):
                return named
        tags = {"folder": str(path), **tags}
        created = self._client.create_run(self._experiment, tags=tags, run_name=path.name)
        folder.write_text(MLFLOW_RUN, f"{created.info.run_id}\n")
        return str(created.info.run_id)


@contextmanager
def _held(file: Path) -> Iterator[None]:
    """Wait until no other process holds a file, and hold it."""
    with open_plain(file, "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _connect(store: Path) -> "MlflowClient":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while it is imported
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is raised too
    return MlflowClient(f"sqlite:///{store}")


def _experiment(client: "MlflowClient", name: str, artefacts: Path) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name, artefacts.as_uri()))


def _exists(client: "MlflowClient", run: str) -> bool:
    from mlflow import MlflowException

    try:
        return bool(client.get_run(run).info.lifecycle_stage == "active")
    except MlflowException:
        return False
