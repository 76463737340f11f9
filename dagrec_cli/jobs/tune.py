"""Tuning of tables: before its rows are run, each is tried with as many settings as every other.

Of a split with several parts the training side of the first one decides for all. That is clean for
the first part. The others test on steps among which are those that this choice was made on, so
their figures may flatter; to choose for each part apart would be clean for all of them and cost as
many times more, and would leave a row without settings to be named. ``split.part=0`` among the
command's overrides makes a table without that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, plain
from dagrec_cli.config.deciding import Effect, effect, is_part, settings
from dagrec_cli.config.where import read_yaml
from dagrec_cli.data.split_base import Split
from dagrec_cli.errors import ConfigError, plural, visible
from dagrec_cli.jobs.job import by_part, without_hydra
from dagrec_cli.jobs.row_tuning import DRAWS, SEARCH, SHARE, Ranges, RowTuning
from dagrec_cli.jobs.run import Engine
from dagrec_cli.jobs.search_space import check_optuna
from dagrec_cli.jobs.tables import TableRun, row_job, slug
from dagrec_cli.reporting.tables import Table, heading, short
from dagrec_cli.runs.folder import RunFolder

EXPERIMENT, TUNED = "experiment", "tuned"  # folders of configs
RowNames = dict[tuple[str, int], str]  # of settings, by table and row
Experiments = dict[str, str]  # content by name
DECIDING = {Effect.FIGURES, Effect.PLACE, Effect.FINAL}  # what makes a row, but for its seeds
JUDGED = (
    "as it stands, chosen: of one seed, on validation steps, {:.0%} of the training side (of the "
    "split's first part), held out by the row's split, the mean of {} draws if it draws; no test "
    "step was read. The best of many flatters."
)
PRUNED = (
    "Trials of networks are pruned: all train for a ninth of the epochs that the row as it stands "
    "took, the best third for a third, the best third of these whole (no length below ten epochs). "
    "experiment: what dagrec train experiment=… takes, with -cd and the folder of this table."
)
FLATTERED = (
    "The first part's training side decides for all; the other parts also test on steps that this "
    'choice was made on, so they may flatter (overrides=["split.part=0"]: the first alone).'
)
TAKEN = f"Tuned before: every row has the settings of its {EXPERIMENT}/{TUNED}/*.yaml."


def tune_rows(runs: Sequence[TableRun], engine: Engine, settings: Mapping[str, Any]) -> Experiments:
    """Choose settings for the rows of tables that ask for it, and put them into their jobs.

    Parameters
    ----------
    settings
        Those of the command.

    Returns
    -------
    Experiments
        Content of a YAML for each row whose settings were chosen, by its name.

    Raises
    ------
    ConfigError
        If Optuna is missing, a file of ranges is not as it must be, or what an earlier tuning is to
        have chosen is not there.
    KeyboardInterrupt
        If the user stops it.
    """
    names = _experiment_names(runs)
    tunings: dict[tuple[Path, int], RowTuning] = {}
    of_rows: dict[tuple[str, int], RowTuning] = {}
    for run in runs:
        n_trials = run.content.tune
        if isinstance(n_trials, str):
            _take_chosen(run, names, engine, settings)
        elif n_trials:
            check_optuna("tune")
            for k, (row, *_) in enumerate(run.jobs):
                model = row.config.hydra.runtime.choices["model"]
                if ranges := Ranges.of(model, settings["own_configs"]):
                    key = row.folder, n_trials
                    tuning = tunings.get(key) or RowTuning(engine, row, ranges, n_trials)
                    of_rows[run.name, k] = tunings[key] = tuning
    _search(list(tunings.values()), engine, resume=settings["resume"])
    experiments: Experiments = {}
    for run in runs:
        of_run = {k: of for (table, k), of in of_rows.items() if table == run.name}
        if of_run:
            experiments |= _choose(run, of_run, names, engine)
    return experiments


def _search(tunings: Sequence[RowTuning], engine: Engine, *, resume: bool) -> None:
    """Run the trials of all rows, side by side."""
    searches = [tuning.batches() for tuning in tunings]
    while jobs := {job.folder: job for search in searches for job in next(search, ())}:
        with engine.display(len(jobs)) as display:
            engine.run(list(jobs.values()), display, resume=resume)


def _choose(
    run: TableRun, tunings: Mapping[int, RowTuning], names: RowNames, engine: Engine
) -> Experiments:
    """Give the rows of a table what was chosen, and the table what is to be said of it."""
    experiments, cells = {}, []
    for k, row in enumerate(run.content.rows):
        tuning, name, config = tunings.get(k), names[run.name, k], run.jobs[k][0].config
        words: Sequence[str] = ()
        shown: dict[str, Any] = {"row": row.name, "experiment": f"{TUNED}/{name}"}
        about = f"{run.title}, row {row.name}"
        if tuning is None:
            in_words = (
                f"as it stands: there is no {SEARCH}/{config.hydra.runtime.choices['model']}.yaml"
            )
        else:
            first, best, in_words = tuning.trials[0], tuning.best, _told(tuning)
            shown |= {"trials": len(tuning.settings), "as_it_stands": first.value}
            if best:
                shown |= {"chosen": best.value, "epochs": best.best_epoch or None}
                about += f": {heading(tuning.monitor)} {short(best.value)} on validation steps"
                words = tuning.words
                job = row_job(engine, f"{run.name}: {row.name}", [*run.words[k], *words])
                run.jobs[k], config = by_part(job), job.config
        cells.append({**shown, "settings": in_words})
        experiments[name] = _experiment(engine, config, words, about)
    run.tuning = _tuning_note(run, tunings)
    run.chosen = Table(
        f"What tuning chose, {run.title}",
        ["row", "trials", "as_it_stands", "chosen", "epochs", "experiment", "settings"],
        cells,
        [JUDGED.format(SHARE, DRAWS), PRUNED],
        f"{run.name}_{TUNED}",
        spare=(),
    )
    return experiments


def _told(tuning: RowTuning) -> str:
    """Return in words what was chosen for a row."""
    if tuning.best is None:
        return f"as it stands, which failed: {tuning.trials[0].reason}"
    pairs = [word.split("=", 1) for word in tuning.words]
    return " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in pairs) or "as it stands"


def _tuning_note(run: TableRun, tunings: Mapping[int, RowTuning]) -> str:
    """Return what a table says of its tuning."""
    n_trials = int(run.content.tune)
    monitors = " or ".join(sorted({heading(tuning.monitor) for tuning in tunings.values()}))
    note = (
        f"Tuned: every row has the best of {plural(n_trials, 'setting')}, or of all that there are "
        f"to try, by {monitors} on validation steps of its training side; {run.name}_{TUNED} has "
        "them."
    )
    tried = [k for k, tuning in tunings.items() if tuning.best]
    rest = [row.name for k, row in enumerate(run.content.rows) if k not in tried]
    note += f" As they stand: {', '.join(rest)}." if rest else ""
    return note + _doubt(run)


def _doubt(run: TableRun) -> str:
    """Return what is to be said where parts test on steps that the first one's trials have seen."""
    splits = [jobs[0].config.split for jobs in run.jobs if len(jobs) > 1]
    overlap = any(not build(split, "split", kind=Split).is_pooled for split in splits)
    return f" {FLATTERED}" if overlap else ""


def _experiment_names(runs: Sequence[TableRun]) -> RowNames:
    """Return a name for the settings of each row: what it is made on, and its model.

    Rows of one model go by their own names.
    """
    names: RowNames = {}
    for run in runs:
        choices = [jobs[0].config.hydra.runtime.choices for jobs in run.jobs]
        often = Counter(chosen["model"] for chosen in choices)
        for k, chosen in enumerate(choices):
            model = chosen["model"]
            row = model if often[model] == 1 else run.content.rows[k].name
            name = base = slug(f"{run.variant or chosen['data']}_{row}").lower()
            number = 1
            while name in names.values():
                number += 1
                name = f"{base}_{number}"
            names[run.name, k] = name
    return names


def _take_chosen(
    run: TableRun, names: RowNames, engine: Engine, settings: Mapping[str, Any]
) -> None:
    """Let each row be what an earlier tuning chose for it."""
    for k, row in enumerate(run.content.rows):
        name = names[run.name, k]
        content, places = read_yaml(f"{EXPERIMENT}/{TUNED}", name, settings["own_configs"])
        if content is None:
            raise ConfigError(
                f"{run.name}, row {row.name!r}: {EXPERIMENT}/{TUNED}/{name}.yaml does not "
                f"exist; it would be {places}: name a tuned table's folder by -cd, or use tune=30."
            )
        seeds = [word for word in run.words[k] if word.startswith("seeds=")]
        words = [*seeds, f"{EXPERIMENT}={TUNED}/{name}", *settings["overrides"]]
        run.jobs[k] = by_part(row_job(engine, f"{run.name}: {row.name}", words))
    run.tuning = TAKEN + _doubt(run)


def _experiment(engine: Engine, config: DictConfig, chosen: Sequence[str], about: str) -> str:
    """Return a YAML of ``configs/experiment`` that is all that decides a config's figures.

    Besides options of groups it holds what differs from theirs, and what was chosen.
    """
    choices = {
        group: choice
        for group, choice in config.hydra.runtime.choices.items()
        if is_part(group) and effect(group) is not Effect.NOTHING
    }
    bare = engine.compose([f"{group}={choice}" for group, choice in choices.items()])
    before, now = (settings(plain(without_hydra(each)), DECIDING) for each in (bare, config))
    node = OmegaConf.create(
        {"defaults": [{f"override /{group}": choice} for group, choice in choices.items()]}
    )
    keys = [word.partition("=")[0] for word in chosen]
    for key, value in now.items():
        if key in keys or key not in before or before[key] != value:
            OmegaConf.update(node, key, value)
    return f"# @package _global_\n# {visible(about)}\n{OmegaConf.to_yaml(node)}"


def write_experiments(folder: RunFolder, experiments: Experiments) -> None:
    """Write ``experiment/tuned/NAME.yaml`` for each, so that the folder can be named by ``-cd``."""
    for name, content in experiments.items():
        folder.below(EXPERIMENT).below(TUNED).write_text(f"{name}.yaml", content)
