"""The config of an older run, with the settings that came since, as today's configs have them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from omegaconf import OmegaConf

from dagrec_cli.config.where import config_dir

# What a class did before it had the setting, where today's value is another.
THEN = {"dagrec_cli.data.splits.CompositionSplit": {"join": "paths"}}
GONE = ("bootstrap",)  # settings of older versions that nothing reads any more
NOT_A_RUN = {"defaults", "hydra"}  # keys of configs/train.yaml that no run's config has


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run of ``dagrec train``; what it has stays, but for what is gone.

    A missing group is the one of ``configs/train.yaml``. A group's missing setting has its value in
    the option of the same class, or in the options which that one builds upon; unless the class
    did something else before it had the setting.
    """
    whole = {key: value for key, value in config.items() if key not in GONE}
    if "model" not in whole:  # no config of dagrec train
        return whole
    train = _read("train")
    for key in sorted(train.keys() - NOT_A_RUN):
        whole.setdefault(key, train[key])
    chosen = [
        pair for entry in train["defaults"] if isinstance(entry, dict) for pair in entry.items()
    ]
    for group, name in chosen:
        if "/" in group or name is None:  # of Hydra, or none by default
            continue
        given = whole.setdefault(group, _option(group, name))
        if isinstance(given, Mapping):
            target = str(given.get("_target_"))
            whole[group] = {**given, **_of_class(group, target), **THEN.get(target, {}), **given}
    return whole


def _of_class(group: str, target: str) -> dict[str, Any]:
    """Return the first option of a group that has a class."""
    for file in sorted((config_dir() / group).glob("*.yaml")):
        if f"_target_: {target}\n" in file.read_text(encoding="utf-8"):
            return _option(group, file.stem)
    return {}


def _option(group: str, name: str) -> dict[str, Any]:
    """Return an option with what its ``defaults`` bring."""
    found = dict(_read(f"{group}/{name}"))
    whole: dict[str, Any] = {}
    for base in found.pop("defaults", []):
        if isinstance(base, str) and base != "_self_":
            whole |= _option(group, base)
    return whole | found


@cache
def _read(name: str) -> dict[str, Any]:
    found = OmegaConf.load(config_dir() / f"{name}.yaml")
    return {str(k): v for k, v in OmegaConf.to_container(found, resolve=False).items()}  # type: ignore[union-attr]
