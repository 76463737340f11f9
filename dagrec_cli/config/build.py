"""Turn a config node with a ``_target_`` into the object it describes.

Only classes of this package are built, and a node's keys are checked against the constructor
first: a wrong setting is the user's error, a TypeError inside a constructor stays ours.
"""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.kinds import check
from dagrec_cli.errors import ConfigError

TARGET_PREFIX = "dagrec_cli."


def build(node: DictConfig, group: str, *facts: object) -> Any:
    """Return the object of a config node, see :func:`factory`.

    Parameters
    ----------
    facts
        Positional arguments that only the running program knows (sizes, the service graph).
    """
    return factory(node, group)(*facts)


def factory(node: DictConfig, group: str) -> Callable[..., Any]:
    """Return a function of facts that builds the object of a config node, whose settings are right.

    Parameters
    ----------
    node
        A mapping with ``_target_`` and exactly the keyword-only parameters of that class.
    group
        Name of the group, for messages: ``model``, ``loss``, …

    Raises
    ------
    ConfigError
        If ``_target_`` is no class of this package, a key is unknown or missing, or a value is of
        another kind than the constructor takes, or out of its range.
    """
    target = str(node.get("_target_", ""))
    if not target.startswith(TARGET_PREFIX):
        raise ConfigError(f"{group}._target_ is {target!r}; only classes of dagrec_cli are built.")
    keys = [str(key) for key in node if key != "_target_"]
    allowed = parameters_of(_import(target, group))
    for key in keys:
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1)
            hint = f"did you mean {group}.{near[0]}? " if near else ""
            raise ConfigError(
                f"{group}.{key} is no setting of {target}; {hint}it has {', '.join(allowed)}."
            )
    if missing := [name for name in allowed if name not in keys]:
        raise ConfigError(f"{group}.{missing[0]} is missing; {target} needs it.")

    for name, value in plain(node).items():
        if name in allowed:
            check(f"{group}.{name}", value, allowed[name])

    from hydra.utils import instantiate

    made: Callable[..., Any] = instantiate(node, _partial_=True, _recursive_=False, _convert_="all")
    return made


def parameters_of(cls: type) -> dict[str, Any]:
    """Return a class's settings, its constructor's keyword-only parameters, and their annotations.

    A constructor that takes ``**settings`` hands them to its parent, whose settings then count too.
    """
    found: dict[str, Any] = {}
    for ancestor in cls.__mro__:
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(ancestor.__init__).parameters.values()  # type: ignore[misc]
        kinds = get_type_hints(ancestor.__init__, include_extras=True)  # type: ignore[misc]
        own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in found]
        found |= {name: kinds.get(name, Any) for name in own}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def plain(node: DictConfig) -> dict[str, Any]:
    """Return a config as plain, resolved Python containers."""
    return {str(k): v for k, v in OmegaConf.to_container(node, resolve=True).items()}  # type: ignore[union-attr]


def _import(target: str, group: str) -> type:
    from importlib import import_module

    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{group}._target_ {target!r} does not exist ({error}).") from error
    if not inspect.isclass(found) or not found.__module__.startswith(TARGET_PREFIX):
        raise ConfigError(f"{group}._target_ {target!r} is no class of dagrec_cli.")
    return found
