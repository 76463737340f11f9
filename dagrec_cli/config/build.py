"""Turn a config node with a ``_target_`` into the object it describes.

A class is this package's, or one that the user's own configs name; what a run folder may name,
``config/untrusted.py`` says. A node's keys are checked against the constructor first: a wrong
setting is the user's error, a TypeError inside a constructor stays ours.
"""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.kinds import check
from dagrec_cli.config.own import check_code
from dagrec_cli.errors import ConfigError


def build(node: DictConfig, group: str, *facts: object, kind: type = object) -> Any:
    """Return the object of a config node, see :func:`factory`.

    Parameters
    ----------
    facts
        Positional arguments that only the running program knows (sizes, the service graph).
    """
    built = factory(node, group, kind)(*facts)
    if not isinstance(built, kind):  # where the kind is a protocol
        raise _other(node, group, kind)
    return built


def factory(node: DictConfig, group: str, kind: type = object) -> Callable[..., Any]:
    """Return a function of facts that builds the object of a config node, whose settings are right.

    Parameters
    ----------
    node
        A mapping with ``_target_`` and exactly the keyword-only parameters of that class.
    group
        Name of the group, for messages: ``model``, ``loss``, …
    kind
        What the object must be.

    Raises
    ------
    ConfigError
        If ``_target_`` is no class that can be built, a key is unknown or missing, or a value is of
        another kind than the constructor takes, or out of its range.
    """
    target = str(node.get("_target_", ""))
    keys = [str(key) for key in node if key != "_target_"]
    cls = _import(target, group)
    if not getattr(kind, "_is_protocol", False) and not issubclass(cls, kind):
        raise _other(node, group, kind)
    allowed = parameters_of(cls)
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


def _other(node: DictConfig, group: str, kind: type) -> ConfigError:
    return ConfigError(f"{group}._target_ is {node._target_!r}, which is no {kind.__name__}.")


def parameters_of(cls: type) -> dict[str, Any]:
    """Return a class's settings, its constructor's keyword-only parameters, and their annotations.

    A constructor that takes ``**settings`` hands them to its parent, whose settings then count too.
    """
    found: dict[str, Any] = {}
    for ancestor in cls.__mro__:
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(ancestor.__init__).parameters.values()  # type: ignore[misc]
        kinds = _annotations(ancestor.__init__)  # type: ignore[misc]
        own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in found]
        found |= {name: kinds.get(name, Any) for name in own}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations; none where one is imported for type checkers alone."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        return {}


def plain(node: DictConfig) -> dict[str, Any]:
    """Return a config as plain, resolved Python containers."""
    return {str(k): v for k, v in OmegaConf.to_container(node, resolve=True).items()}  # type: ignore[union-attr]


def _import(target: str, group: str) -> type:
    from importlib import import_module

    module, _, name = target.rpartition(".")
    package = module.partition(".")[0]
    told = f"{group}._target_ {target!r}"
    check_code(package)
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{told} does not exist ({error}).") from error
    except Exception as error:  # of the user's own code
        raise ConfigError(
            f"{told} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if not inspect.isclass(found) or found.__module__.partition(".")[0] != package:
        raise ConfigError(f"{told} is no class of {package}.")
    if missing := getattr(found, "__abstractmethods__", None):
        raise ConfigError(f"{told} lacks {', '.join(sorted(missing))}.")
    return found
