"""Runs to rows: runs that differ in nothing but the seed are one row, named by what differs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.reporting.comparison import Entry
from dagrec_cli.reporting.runs import Run, find_runs

NO_DIFFERENCE = ("seed", "seeds", "progress", "bootstrap", "threads")


def group_runs(paths: Sequence[Path], by: Sequence[str] | None) -> list[Entry]:
    """Return one entry per group of finished runs, then one per run that is not finished.

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
        raise RunError(f"none of {len(folders)} runs is finished: {broken[0].reason}")
    settings = [_settings(run) for run in finished]
    keys = list(by) if by else sorted({key for each in settings for key in each})
    groups: dict[str, list[int]] = {}
    for k, each in enumerate(settings):
        values = [_value(each, key, finished[k]) if by else each.get(key) for key in keys]
        groups.setdefault(json.dumps(values), []).append(k)
    telling = _telling(keys, [json.loads(values) for values in groups])
    names = [_name(json.loads(values), keys, telling) for values in groups]
    entries = [
        Entry(name, [finished[k] for k in _latest_of_each_seed(members, finished)])
        for name, members in zip(names, groups.values(), strict=True)
    ]
    return entries + broken


def _read(folders: Iterable[Path]) -> tuple[list[Run], list[Entry]]:
    """Return the finished runs, and an entry with the reason for each other one."""
    finished, broken = [], []
    for folder in folders:
        try:
            run = Run.load(folder)
            if run.is_finished:
                _ = run.predictions, run.config  # read here, so that damage is found here
                finished.append(run)
            else:
                broken.append(Entry(str(folder), [], f"{run.result['status']}: {run.reason}"))
        except RunError as error:
            broken.append(Entry(str(folder), [], str(error)))
    return finished, broken


def _settings(run: Run) -> dict[str, Any]:
    """Return a run's choices and its config, flat with dotted keys."""
    config = {k: v for k, v in run.config.items() if k not in NO_DIFFERENCE}
    return {**dict(_flat(config, "")), **run.result.get("choices", {})}


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}".lstrip("."))
    else:
        yield prefix, node


def _value(settings: Mapping[str, Any], key: str, run: Run) -> Any:
    if key not in settings:
        raise ConfigError(
            f"by={key}: {run.path} has no such setting; use one of its config.yaml, "
            "such as model, loss, split or trainer.epochs."
        )
    return settings[key]


def _telling(keys: Sequence[str], groups: Sequence[Sequence[Any]]) -> list[int]:
    """Return the positions of keys that differ between groups; options before their settings."""
    differing = [k for k in range(len(keys)) if len({json.dumps(g[k]) for g in groups}) > 1]
    options = [k for k in differing if "." not in keys[k]]
    is_told = len({json.dumps([g[k] for k in options]) for g in groups}) == len(groups)
    hidden = {keys[k] for k in options}
    rest = [k for k in differing if "." in keys[k] and keys[k].split(".")[0] not in hidden]
    return options if is_told else [*options, *rest] or differing


def _name(values: Sequence[Any], keys: Sequence[str], telling: Sequence[int]) -> str:
    if not telling:
        return "run"
    return " ".join(f"{keys[k]}={values[k]}" if "." in keys[k] else str(values[k]) for k in telling)


def _latest_of_each_seed(members: Sequence[int], runs: Sequence[Run]) -> list[int]:
    """Return the members without those whose seeds a later run has too."""
    kept: dict[tuple[int, ...], int] = {}
    for k in sorted(members, key=lambda k: str(runs[k].result["started"])):
        kept[tuple(runs[k].result["seeds"])] = k
    return list(kept.values())
