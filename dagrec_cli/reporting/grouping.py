"""Runs to rows: runs that differ in nothing but the seed are one row, named by what tells it apart.

Rows about the same test pairs stand together. A name holds no more than it takes to tell a row from
those beside it: the model, then other options, then settings.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.reporting.comparison import Entry
from dagrec_cli.reporting.runs import Run, find_runs

NO_DIFFERENCE = (
    "seed",
    "seeds",
    "progress",
    "bootstrap",
    "threads",
    "resume",
    "rerun",
    "logger",
    "experiment",
)
SIDE = "evaluate_on"  # test and validation are never one row
SOURCE = "run"  # of a saved model that was evaluated; never one row with a model of its own
TESTED = ("data", "split", SIDE)
LEARNT = ("loss", "sampler", "trainer")  # mean nothing to a model that counts
ALWAYS = ("data", "model", SOURCE)  # in every name
OPTIONS = ("data", "split", "model", "loss", "sampler", "trainer")  # told without their group
Settings = Mapping[str, Any]


def group_runs(paths: Sequence[Path], by: Sequence[str] | None) -> list[Entry]:
    """Return one entry per group of finished runs, then one per run that is not finished.

    Runs with other test pairs, and evaluations of saved models, are never in one group.

    Parameters
    ----------
    paths
        Run folders, or folders that hold some.
    by
        Dotted config keys whose values make a group, such as ``model`` or ``trainer.epochs``; a
        group's name stands for its option. None: all keys but the seed.

    Raises
    ------
    RunError
        If a folder holds no run, or no run is finished.
    ConfigError
        If a run has no such key.
    """
    folders = list(dict.fromkeys(folder for path in paths for folder in find_runs(path)))
    finished, broken = _read(folders)
    if not finished:
        first = broken[0]
        raise RunError(f"none of {len(folders)} runs is finished; {first.name}: {first.reason}")
    by_test: dict[tuple[str, str], list[Run]] = {}
    for run in _newest(finished):
        by_test.setdefault(run.test, []).append(run)
    tested = _names([_settings(runs[0]) for runs in by_test.values()], is_about_test=True)
    tested = [
        name if tested.count(name) == 1 else f"{name} {tested[: k + 1].count(name)}"
        for k, name in enumerate(tested)
    ]
    entries = [
        entry
        for about, runs in zip(tested, by_test.values(), strict=True)
        for entry in _rows(about, runs, by)
    ]
    return entries + broken


def _read(folders: Iterable[Path]) -> tuple[list[Run], list[Entry]]:
    """Return the finished runs, and an entry with the reason for each other one."""
    finished, broken = [], []
    for folder in folders:
        try:
            run = Run.load(folder)
            if run.is_finished:
                run.check()
                finished.append(run)
            else:
                broken.append(Entry(str(folder), [], f"{run.result['status']}: {run.reason}"))
        except RunError as error:
            reason = str(error).removeprefix(f"{folder}/").removeprefix(f"{folder}: ")
            broken.append(Entry(str(folder), [], reason))
    return finished, broken


def _newest(runs: Sequence[Run]) -> list[Run]:
    """Return the runs without those all of whose seeds another has: the one with most, the newest.

    They differ in nothing else, so no seed counts twice.
    """
    seen: dict[str, set[int]] = {}
    kept = []
    order = sorted(runs, key=lambda run: (len(run.result["seeds"]), str(run.result["started"])))
    for run in reversed(order):
        told = json.dumps([run.test, _settings(run)], sort_keys=True)
        seeds = seen.setdefault(told, set())
        if not seeds.issuperset(run.result["seeds"]):
            kept.append(run)
            seeds.update(run.result["seeds"])
    return [run for run in runs if run in kept]


def _rows(about: str, runs: Sequence[Run], by: Sequence[str] | None) -> list[Entry]:
    """Return the entries of runs about the same test pairs."""
    settings = [_settings(run) for run in runs]
    keys = [*by, SOURCE] if by else sorted({key for each in settings for key in each})
    groups: dict[str, list[int]] = {}
    for k, each in enumerate(settings):
        values = [_value(each, key, runs[k]) for key in keys] if by else [*map(each.get, keys)]
        groups.setdefault(json.dumps(values), []).append(k)
    firsts = [settings[members[0]] for members in groups.values()]
    names = [_told(each, keys) or "run" for each in firsts] if by else _names(firsts)
    return [
        Entry(name, [runs[k] for k in members], about=about)
        for name, members in zip(names, groups.values(), strict=True)
    ]


def _settings(run: Run) -> dict[str, Any]:
    """Return a run's choices, its config, flat with dotted keys, and what it was evaluated on."""
    told = [run.config, run.result.get("choices", {})]
    config, choices = ({k: v for k, v in each.items() if k not in NO_DIFFERENCE} for each in told)
    settings = {**dict(flat(config)), **choices}
    if run.counts:
        settings |= {key: None for key in settings if key.split(".")[0] in LEARNT}
    return {**settings, SIDE: run.result.get("evaluated_on", "test"), SOURCE: run.source}


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a config under its dotted key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from flat(value, f"{prefix}.{key}".lstrip("."))
    else:
        yield prefix, node


def _value(settings: Settings, key: str, run: Run) -> Any:
    if key not in settings:
        raise ConfigError(
            f"by={key}: {run.path} has no such setting; use one of its config.yaml, "
            "such as model, loss, split or trainer.epochs."
        )
    return settings[key]


def _names(rows: Sequence[Settings], *, is_about_test: bool = False) -> list[str]:
    """Return a name for each row: its values of keys that tell it from rows named alike so far."""
    keys = {key for row in rows for key in row if not key.endswith("_target_")}
    keys = {key for key in keys if (key.split(".")[0] in TESTED) == is_about_test}
    names = [""] * len(rows)
    for key in sorted(keys, key=_rank):
        seen: dict[str, set[str]] = {}
        for name, row in zip(names, rows, strict=True):
            seen.setdefault(name, set()).add(json.dumps(row.get(key)))
        names = [
            f"{name} {_told(row, [key])}".strip() if _is_telling(key, seen[name]) else name
            for name, row in zip(names, rows, strict=True)
        ]
    return [name or "run" for name in names]


def _is_telling(key: str, values: set[str]) -> bool:
    return key in ALWAYS or len(values) > 1


def _rank(key: str) -> tuple[int, bool, str]:
    return OPTIONS.index(key) if key in OPTIONS else len(OPTIONS), "." in key, key


def _told(settings: Settings, keys: Iterable[str]) -> str:
    """Return values in words: ``gru4rec bpr trainer.epochs=5``; what is not set is left out."""
    return " ".join(
        str(settings[key]) if key in OPTIONS else f"{key}={settings[key]}"
        for key in keys
        if settings.get(key) is not None
    )
