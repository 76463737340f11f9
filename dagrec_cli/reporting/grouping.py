"""Runs to rows: runs that differ only in seed or part are one row, named by what tells it apart.

Rows about the same test pairs stand together. A name holds no more than it takes to tell a row from
those beside it: the model, then other options, then settings.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagrec_cli.config.deciding import Effect, effect, is_part, settings
from dagrec_cli.errors import ConfigError, DagrecError, RunError
from dagrec_cli.reporting.rows import TableRow, Test, test_of
from dagrec_cli.runs.folder import REQUEST, RESULT
from dagrec_cli.runs.run import Run

EVALUATED_ON = "evaluate_on"  # test and validation are never one row
SOURCE = "run"  # of a saved model that was evaluated; never one row with a model of its own
VERSION = "dagrec"  # figures of two versions are never one row
CODE = "code"  # neither are figures of two states of the user's own code
PARTS = "split.parts"  # how many of them there are, where some are missing
TESTED = ("data", "split", EVALUATED_ON)
LEARNT = ("loss", "sampler", "trainer")  # mean nothing to a model that counts
ALWAYS = ("data", "model", SOURCE)  # in every name
OPTIONS = ("data", "split", "model", "loss", "sampler", "trainer")  # told without their group
Settings = Mapping[str, Any]


def group_runs(paths: Sequence[Path], by: Sequence[str] | None) -> list[TableRow]:
    """Return a row per group of finished runs, then one per run that is not finished.

    Runs with other test pairs, and evaluations of saved models, are never in one group.

    Parameters
    ----------
    paths
        Run folders, or folders that hold some.
    by
        Dotted config keys whose values make a group, such as ``model`` or ``trainer.epochs``; a
        group's name stands for its option. None: every setting that decides the figures.

    Raises
    ------
    RunError
        If a folder holds no run, or no run is finished.
    ConfigError
        If a run has no such key.
    """
    folders = list(dict.fromkeys(folder for path in paths for folder in find_runs(path)))
    finished, broken = _read_runs(folders)
    if not finished:
        first = broken[0]
        raise RunError(f"none of {len(folders)} runs is finished; {first.name}: {first.reason}")
    by_test: dict[Test, list[list[Run]]] = {}
    for runs in _experiments(_each_seed_once(finished)):
        by_test.setdefault(test_of(runs), []).append(runs)
    firsts = [_naming_settings(alike[0]) for alike in by_test.values()]
    tested = _names(firsts, is_about_test=True)
    rows = [
        row
        for about, alike in zip(tested, by_test.values(), strict=True)
        for row in _rows_of(about, alike, by)
    ]
    return rows + broken


def _experiments(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs that differ in nothing but seed and part."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(_identity(run), []).append(run)
    return list(alike.values())


def find_runs(path: Path) -> list[Path]:
    """Return the run folders at or below a folder, in order of their names, job 10 after job 9.

    A run that did not come to a result is one, too. A folder without any is returned itself.

    Raises
    ------
    RunError
        If the folder does not exist.
    """
    if not os.path.isdir(path):  # where Path.is_dir raises for a name that is too long
        raise RunError(f"{path}: no such folder; name run folders or a folder that holds some.")
    walked = os.walk(path)  # passes over a folder that vanishes meanwhile
    runs = [Path(folder) for folder, _, files in walked if {RESULT, REQUEST} & {*files}]
    return sorted(runs, key=_natural) or [path]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts by numbers where names hold some."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", str(path))]


def _read_runs(folders: Iterable[Path]) -> tuple[list[Run], list[TableRow]]:
    """Return the finished runs, and a row with the reason for each other one."""
    finished, broken = [], []
    for folder in folders:
        try:
            run = Run.load(folder)
            if run.is_finished:
                run.check()
                finished.append(run)
            else:
                broken.append(TableRow(str(folder), [], f"{run.result.status}: {run.reason}"))
        except (DagrecError, OSError) as error:  # whatever it is, the others stand
            reason = str(error).removeprefix(f"{folder}/").removeprefix(f"{folder}: ")
            broken.append(TableRow(str(folder), [], reason))
    return finished, broken


def _each_seed_once(runs: Sequence[Run]) -> list[Run]:
    """Return the runs with the seeds that no newer run of the same experiment and part has."""
    taken: dict[tuple[str, int], set[int]] = {}
    kept: dict[Path, Run] = {}
    oldest_first = sorted(runs, key=lambda run: run.result.started)
    for run in reversed(oldest_first):
        seen = taken.setdefault((_identity(run), run.part), set())
        if left := [seed for seed in run.seeds if seed not in seen]:
            kept[run.path] = run.of_seeds(left)
            seen.update(left)
    return [kept[run.path] for run in runs if run.path in kept]


def _identity(run: Run) -> str:
    """Return what runs have in common that are one experiment with several seeds or parts.

    That is all that decides their figures: the content of the data, the test pairs, the config.
    Names of options are not: ``data=geoportal`` and a file of the same bytes are one data set. What
    a part tests on, its number and the config say.
    """
    deciding = settings(run.config, {Effect.FIGURES}) | _deciding_origin(run)
    figures = {key: value for key, value in deciding.items() if not _is_idle(key, run)}
    data = run.finished.data
    tested = [data.sha256, data.part.of] if data.part else run.test
    return json.dumps([tested, figures], sort_keys=True, default=str)


def _is_idle(key: str, run: Run) -> bool:
    """Return whether a setting means nothing to a run's model."""
    return run.counts and key.split(".")[0] in LEARNT


def _deciding_origin(run: Run) -> dict[str, Any]:
    """Return what decides a run's figures besides its config and data."""
    result = run.finished
    code = result.code_sha256[:8] or None
    return {EVALUATED_ON: result.evaluated_on, SOURCE: run.source, VERSION: run.version, CODE: code}


def _rows_of(
    about: str, experiments: Sequence[Sequence[Run]], by: Sequence[str] | None
) -> list[TableRow]:
    """Return the rows of experiments about the same test pairs."""
    keys = [*by, SOURCE] if by else []
    groups: dict[str, list[Sequence[Run]]] = {}
    for runs in experiments:
        naming = _naming_settings(runs)
        by_keys = json.dumps([_setting_value(naming, key, runs[0]) for key in keys])
        groups.setdefault(by_keys if by else _identity(runs[0]), []).append(runs)
    firsts = [_naming_settings(alike[0]) for alike in groups.values()]
    names = _unique([_in_words(first, keys) for first in firsts]) if by else _names(firsts)
    return [
        TableRow(name, [run for runs in alike for run in runs], about=about)
        for name, alike in zip(names, groups.values(), strict=True)
    ]


def _naming_settings(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what names may tell of runs that differ in seed and part alone.

    Options, settings by dotted keys, what they were tested on, and whether parts of that are
    missing. Where the data lie may name a set of test pairs, so it is among them.
    """
    run, missing = runs[0], TableRow("", runs).missing
    choices = run.result.choices
    choices = {k: v for k, v in choices.items() if is_part(k) and effect(k) is Effect.FIGURES}
    named = settings(run.config, {Effect.FIGURES, Effect.PLACE}) | choices
    idle = {key: None for key in named if _is_idle(key, run)}
    return named | idle | _deciding_origin(run) | {PARTS: missing or None}


def _setting_value(settings: Settings, key: str, run: Run) -> Any:
    if key not in settings:
        raise ConfigError(
            f"by={key}: {run.path} has no such setting; use one of its config.yaml, "
            "such as model, loss, split or trainer.epochs."
        )
    return settings[key]


def _names(rows: Sequence[Settings], *, is_about_test: bool = False) -> list[str]:
    """Return a name for each row: its values of keys that tell it from rows named alike so far."""
    keys = {key for row in rows for key in row if not key.endswith("_target_")}
    if is_about_test:
        keys = {key for key in keys if key.split(".")[0] in TESTED}
    else:  # the same test pairs, so the same data, whatever it is called
        keys = {key for key in keys if key != "data" and effect(key) is Effect.FIGURES}
    names = [""] * len(rows)
    for key in sorted(keys, key=_rank):
        # Only rows that are named alike so far need telling apart, so each name asks its own.
        seen: dict[str, set[str]] = {}
        for name, row in zip(names, rows, strict=True):
            seen.setdefault(name, set()).add(json.dumps(row.get(key)))
        names = [
            f"{name} {_in_words(row, [key])}".strip()
            if key in ALWAYS or len(seen[name]) > 1
            else name
            for name, row in zip(names, rows, strict=True)
        ]
    return _unique(names)


def _unique(names: Sequence[str]) -> list[str]:
    """Return names with a number behind those that are shared, so that no two are alike."""
    filled = [name or "run" for name in names]
    return [
        name if filled.count(name) == 1 else f"{name} {filled[: k + 1].count(name)}"
        for k, name in enumerate(filled)
    ]


def _rank(key: str) -> tuple[int, bool, str]:
    return OPTIONS.index(key) if key in OPTIONS else len(OPTIONS), "." in key, key


def _in_words(settings: Settings, keys: Iterable[str]) -> str:
    """Return values in words: ``gru4rec bpr trainer.epochs=5``; what is not set is left out."""
    return " ".join(
        str(settings[key]) if key in OPTIONS else f"{key}={settings[key]}"
        for key in keys
        if settings.get(key) is not None
    )
