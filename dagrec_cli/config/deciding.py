"""Which settings decide a result: the one list that hashes, tables, searches and the cache ask.

A setting is named by its dotted key, such as ``trainer.epochs``. What is not listed decides the
figures, so a new setting is taken for one that matters until somebody says here that it does not.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any

from dagrec_cli import __version__
from dagrec_cli.config.where import code_sha256


class Effect(Enum):
    """What another value of a setting changes, all else equal."""

    NOTHING = "how a run is carried out and watched"
    PLACE = "where the data lie; data are told apart by their content, never by this"
    SEED = "which one of many like runs it is; a row of a table holds all of them"
    FINAL = "which model is handed out besides the evaluated one"
    FIGURES = "the figures themselves"


ALL = frozenset(Effect)
EFFECTS = {
    **dict.fromkeys(("progress", "threads", "logger", "rerun", "resume", "hydra"), Effect.NOTHING),
    **dict.fromkeys(("data.cache", "trainer.checkpoint_every"), Effect.NOTHING),
    **dict.fromkeys(("keep_checkpoints", "metrics", "notes"), Effect.NOTHING),
    **dict.fromkeys(("data.path", "data.default_path", "data.download"), Effect.PLACE),
    **dict.fromkeys(("seed", "seeds", "split.part"), Effect.SEED),
    "trainer.fit_on": Effect.FINAL,
}


def effect(key: str) -> Effect:
    """Return what a setting changes; one inside a group that is listed has the group's effect."""
    parts = key.split(".")
    names = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
    return next((EFFECTS[name] for name in names if name in EFFECTS), Effect.FIGURES)


def settings(config: Mapping[str, Any], effects: Collection[Effect] = ALL) -> dict[str, Any]:
    """Return a config's settings by their dotted keys, those with one of some effects."""
    return {key: value for key, value in flat(config) if effect(key) in effects}


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a config under its dotted key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from flat(value, f"{prefix}.{key}".lstrip("."))
    else:
        yield prefix, node


def is_part(group: str) -> bool:
    """Return whether a config group describes a part: not Hydra's own, nor a choice of choices."""
    return "/" not in group and group != "experiment"


def config_hash(config: Mapping[str, Any], *, with_place: bool = False) -> str:
    """Return a hash of what decides a run's files besides its data: config, and the code that runs.

    Parameters
    ----------
    config
        The composed config of ``dagrec train`` as plain containers.
    with_place
        True to count where the data lie, too: for whoever cannot look at their content.
    """
    places = set() if with_place else {Effect.PLACE}
    content = settings(config, set(Effect) - {Effect.NOTHING} - places)
    code = filter(None, [code_sha256(config)])
    text = json.dumps([__version__, content, *code], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
