"""What a search found: its trials as a table and a picture, and what the best is run with again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import IO, Any, NamedTuple

from dagrec_cli.errors import RunError
from dagrec_cli.reporting.plots.charts import search_picture
from dagrec_cli.reporting.plots.drawing import save_png
from dagrec_cli.reporting.tables import Table, spell
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

NAME = "search"
ALL_PAIRS = {"trainer.validation_share": 0.0, "trainer.patience": 0, "evaluate_on": "test"}


class Trial(NamedTuple):
    """One trial.

    Attributes
    ----------
    number
        From 0 on; also the name of its folder.
    settings
        What was chosen for it, by key.
    value
        Mean over its seeds of the best validation value; None if it failed.
    result
        Its ``result.json``; an error alone if it cannot be read.
    """

    number: int
    settings: Mapping[str, Any]
    value: float | None
    result: Mapping[str, Any]

    @classmethod
    def load(
        cls, below: Path, number: int, settings: Mapping[str, Any], value: float | None
    ) -> "Trial":
        """Read a trial's result in its folder."""
        try:
            return cls(number, settings, value, Run.load(below / str(number)).result)
        except RunError as error:
            return cls(number, settings, value, {"error": str(error)})

    @property
    def epochs(self) -> int:
        """Median over the seeds of the epoch whose weights were kept; 0 for models that count."""
        return int(median_low(self.result.get("model", {}).get("best_epoch", [0])))

    @property
    def reason(self) -> str:
        """Why it failed."""
        return str(self.result.get("error", "stopped"))

    def told(self, monitor: str) -> str:
        """Return its value in words, or why it failed."""
        if self.value is None:
            return f"failed: {self.reason}"
        return f"{monitor} {spell(self.result.get('metrics', {}).get(monitor, self.value))}"


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial of the best value, the first of equal ones; None if all failed."""
    succeeded = [trial for trial in trials if trial.value is not None]
    return max(succeeded, key=lambda trial: trial.value or 0.0, default=None)


def retraining(trial: Trial) -> dict[str, Any]:
    """Return the settings that turn a trial into one run on all training pairs."""
    epochs = {"trainer.epochs": trial.epochs} if trial.epochs else {}
    return {**ALL_PAIRS, **epochs}


def study_table(trials: Sequence[Trial], monitor: str) -> Table:
    """Return a row per trial with its validation value, and settings by their short names."""
    names = short_names(trials[0].settings)
    rows = [
        {
            "trial": trial.number,
            "status": "failed" if trial.value is None else "finished",
            monitor: trial.result.get("metrics", {}).get(monitor, trial.value),
            **{names[key]: value for key, value in trial.settings.items()},
            "epochs": trial.epochs or None,
            "seconds": trial.result.get("seconds", {}).get("total"),
        }
        for trial in trials
    ]
    notes = [
        f"{monitor}: mean over seeds on validation pairs, of the best epoch; the best of many "
        "flatters, only the test value of the run in best/ is to be quoted.",
        "epochs: median over seeds of the best epoch.",
        *(f"trial {trial.number}: {trial.reason}" for trial in trials if trial.value is None),
    ]
    return Table(_title(trials), list(rows[0]), rows, notes, NAME)


def short_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return ``hidden`` for ``model.hidden``, the whole key where that would be no name of one."""
    last = {key: key.rpartition(".")[2] for key in settings}
    taken = list(last.values())
    return {key: name if taken.count(name) == 1 else key for key, name in last.items()}


def write_study(folder: RunFolder, trials: Sequence[Trial], monitor: str) -> None:
    """Write ``search.csv``, ``.md``, ``.tex``, ``.json`` and ``.png``; one trial succeeded."""
    study_table(trials, monitor).save(folder)
    names = short_names(trials[0].settings)
    figure = search_picture(
        [
            (trial.number, {names[k]: v for k, v in trial.settings.items()}, trial.value)
            for trial in trials
            if trial.value is not None
        ],
        monitor,
    )

    def draw(file: IO[bytes]) -> None:
        save_png(figure, file)

    folder.write(f"{NAME}.png", draw)


def describe(trials: Sequence[Trial], best: Trial, monitor: str) -> list[str]:
    """Return the lines that name the best of some trials and its settings."""
    width = max(map(len, best.settings))
    return [
        f"{_title(trials)}; best is trial {best.number}, {best.told(monitor)} on validation pairs:",
        *(
            f"  {key:<{width}}  {f'{chosen:.4g}' if isinstance(chosen, float) else chosen}"
            for key, chosen in best.settings.items()
        ),
    ]


def _title(trials: Sequence[Trial]) -> str:
    n_failed = sum(trial.value is None for trial in trials)
    return f"{len(trials)} trials, {n_failed} failed"
