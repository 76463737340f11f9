"""dagrec: a bench for next-service recommendation on DAG compositions.

From Python it takes the words of the command line:

    import dagrec_cli as dagrec

    run = dagrec.train("data=geoportal", "model=gru4rec", seeds=[0, 1])
    run.metrics.loc["accuracy", "mean"]
    run.recommend(["table_1002132", "service_308"], k=5)

Nothing is printed, and nothing heavy is imported before it is needed. What is one line and exit
code 2 at the command line is a :class:`DagrecError` here; a loss that is no number, a
``TrainingError``.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from dagrec_cli.errors import ConfigError, DagrecError, TrainingError

if TYPE_CHECKING:
    from pandas import DataFrame

    from dagrec_cli.data.dataset import Dataset
    from dagrec_cli.evaluation.recommender import Answer
    from dagrec_cli.models.base import Model
    from dagrec_cli.runs.recommend import How, Recommender

__version__ = "0.2.0"
__all__ = ["DagrecError", "TrainedRun", "TrainingError", "compare", "load", "read_data", "train"]

Folder = str | PathLike[str]
Names = Iterable[str] | None


@contextmanager
def _explained() -> Iterator[None]:
    """Raise a DagrecError with the line that the command line would say, if it would."""
    from dagrec_cli.app.failures import explain

    try:
        yield
    except (DagrecError, TrainingError):
        raise
    except Exception as error:
        line = explain(error, "train")
        if line is None:
            raise
        raise DagrecError(line) from error


class TrainedRun:
    """A run folder: its figures, what was made of every test pair, and its model.

    Attributes
    ----------
    folder
        Where it lies.

    Parameters
    ----------
    seed
        Whose model recommends; None for the run's first seed.
    trust
        Packages of others whose model it may be: their code runs.
    """

    def __init__(
        self, folder: Folder, *, seed: int | None = None, trust: str | Sequence[str] | None = None
    ) -> None:
        from dagrec_cli.runs.model import named_run

        self._run = named_run(fspath(folder), "predict", trust)
        self._seed = seed
        self.folder = self._run.path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @cached_property
    @_explained()
    def metrics(self) -> "DataFrame":
        """A row per metric: ``mean``, ``std`` over seeds, and the 95 % interval, ``low, high``."""
        import pandas as pd

        self._run.check()
        metrics = self._run.finished.metrics
        figures: DataFrame = pd.DataFrame.from_dict(metrics, orient="index", dtype=float)
        return figures

    @cached_property
    @_explained()
    def predictions(self) -> "DataFrame":
        """A row per seed and test pair: ``context``, ``target``, ``predicted``, ``rank``, …."""
        self._run.check()
        return self._run.predictions_frame()

    @cached_property
    @_explained()
    def contexts(self) -> "DataFrame":
        """A row per number of a context: its last ``node``, and the ``parents`` that lead there."""
        import pandas as pd

        self._run.check()
        found = self._run.contexts
        frame = pd.DataFrame(list(found.values()), index=pd.Index(found, name="context"))
        return frame[["node", "parents"]]

    @cached_property
    def _recommender(self) -> "Recommender":
        from dagrec_cli.runs.recommend import Recommender

        return Recommender(self._run, self._seed)

    @property
    @_explained()
    def model(self) -> "Model":
        """The model that recommends; set its ``mask`` to rank with ``hard`` or ``none``.

        With ``trainer.fit_on=all`` it is the one fitted on all steps; the figures are of another.
        """
        return self._recommender.model

    def recommend(self, context: Iterable[str], **how: "Unpack[How]") -> "Answer":
        """Return the best services after a context, best first, with notes on them.

        It holds names of the nodes walked so far, which may lack their prefix. ``k`` services are
        given, 5 by default; ``allowed``, ``owner``, ``on_unknown``, ``why`` are as on the command
        line.
        """
        return self.recommend_many([context], **how)[0]

    @_explained()
    def recommend_many(
        self, contexts: Iterable[Iterable[str]], **how: "Unpack[How]"
    ) -> "list[Answer]":
        """Return what :meth:`recommend` does after each of many contexts, computed together."""
        return self._recommender.after_contexts(contexts, **how)

    @_explained()
    def recommend_composition(
        self, composition: Folder | bytes, *, after: Sequence[str] = (), **how: "Unpack[How]"
    ) -> "list[Answer]":
        """Return what :meth:`recommend` does at each open end, which is a node that no link leaves.

        It is a file or its content, in any format that ``data`` reads; ``after`` may have ids or
        names of other nodes to go on from.
        """
        given = composition if isinstance(composition, bytes) else Path(composition)
        return self._recommender.after_composition(given, after, **how)


@_explained()
def train(
    *words: str,
    seeds: Sequence[int] | None = None,
    folder: Folder | None = None,
    config_dir: Folder | None = None,
) -> TrainedRun:
    """Train a model and evaluate it, as ``dagrec train WORDS`` does.

    Parameters
    ----------
    words
        Options and settings, such as ``"data=geoportal"``, ``"trainer.epochs=50"``.
    seeds
        Several seeds, as ``seeds=[0,1]``.
    folder
        The run folder; None for a new one in ``outputs/train``.
    config_dir
        A folder of your own configs and code, as ``-cd FOLDER``.

    Raises
    ------
    DagrecError
        If a setting or the data are not as they must be.
    TrainingError
        If the loss is not finite; the folder holds the last good weights.
    KeyboardInterrupt
        If it is interrupted; says which command continues it.
    """
    from dagrec_cli.config.build import plain
    from dagrec_cli.config.compose import composed
    from dagrec_cli.config.where import packages_of
    from dagrec_cli.experiment.fit import run_experiment
    from dagrec_cli.jobs.job import request_of, without_hydra
    from dagrec_cli.jobs.search import check_no_search
    from dagrec_cli.runs.folder import LOGGER, RunFolder
    from dagrec_cli.runs.state import TRAINING, check_new
    from dagrec_cli.training.progress import Silent

    asked = [*words] if seeds is None else [*words, f"seeds={list(seeds)}".replace(" ", "")]
    whole = composed("train", asked, [os.path.abspath(config_dir)] if config_dir else [])
    config = without_hydra(whole)
    request = request_of(whole.hydra, config, asked)
    if config.resume is not None:
        raise ConfigError("resume=RUN is for the command line: dagrec train resume=RUN.")
    place = RunFolder(Path(whole.hydra.run.dir if folder is None else folder))
    try:
        check_no_search(whole.hydra.sweeper, asked, place)
        check_new(place.path, TRAINING, word="rerun", asked=config.rerun)
        run_experiment(config, place, request, Silent(LOGGER.warning))
    finally:
        place.remove_if_empty()
    return TrainedRun(place.path, trust=packages_of(plain(config)))


@_explained()
def load(
    folder: Folder, *, seed: int | None = None, trust: str | Sequence[str] | None = None
) -> TrainedRun:
    """Return the run in a folder.

    Parameters
    ----------
    seed
        Whose model recommends; None for the run's first seed.
    trust
        Packages of others whose model it may be, such as ``"mymodel"``: their code runs.

    Raises
    ------
    DagrecError
        If the folder holds no run. What is damaged in it is said when it is used.
    """
    return TrainedRun(folder, seed=seed, trust=trust)


@_explained()
def compare(
    runs: Folder | TrainedRun | Iterable[Folder | TrainedRun],
    *,
    by: Sequence[str] | None = None,
    metric: str = "accuracy",
    metrics: Sequence[str] = (),
    average: Literal["step", "composition"] = "step",
) -> "DataFrame":
    """Return a row per model, with tests between those on the same test pairs.

    Parameters
    ----------
    runs
        Runs, their folders, or folders that hold some.
    by
        Settings that make a row, such as ``["model", "loss"]``; None: all but the seed.
    metric
        What differences, tests and marks are about.
    metrics
        More columns, such as ``["ndcg@10", "hr@20"]``.
    average
        ``composition`` for means over compositions, of each one's own mean over its steps.

    Returns
    -------
    DataFrame
        ``accuracy``, ``accuracy_low``, … and what they rest on in ``attrs["notes"]``, also which
        runs are not finished and so have no row.
    """
    from dagrec_cli.config.kinds import check
    from dagrec_cli.config.metric_names import Average, Metric, metrics_of
    from dagrec_cli.reporting.comparison import compare_averages
    from dagrec_cli.reporting.grouping import group_runs

    check("metric", metric, Metric)
    check("average", average, Average)
    given = [runs] if isinstance(runs, str | PathLike | TrainedRun) else [*runs]
    if not given:
        raise ConfigError("no runs given; name run folders, or a folder that holds some.")
    folders = [run.folder if isinstance(run, TrainedRun) else Path(run) for run in given]
    about = (average, "", metric, metrics_of(metrics))
    return compare_averages(group_runs(folders, by), *about)[0].to_frame()


@_explained()
def read_data(*words: str) -> "Dataset":
    """Return a prepared data set, as ``dagrec train WORDS`` would have it.

    Parameters
    ----------
    words
        ``"data=geoportal"``, ``"data.path=mine.jsonl"`` and the like.

    Raises
    ------
    DagrecError
        If a word is about something else, or the data are not as they must be.
    """
    from dagrec_cli.config.build import build
    from dagrec_cli.config.compose import composed
    from dagrec_cli.data.cache import cached_dataset

    for word in words:
        if word.lstrip("+~").partition("=")[0].partition(".")[0] not in ("data", "hydra"):
            raise ConfigError(f"{word!r} is nothing about data; give data=OPTION or data.NAME=…")
    return cached_dataset(build(composed("data describe", words).data, "data"))
