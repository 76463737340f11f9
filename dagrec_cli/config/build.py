"""Settings checked before any work, and config nodes turned into the objects they describe.

A class is this package's, or one that the user's own configs name; what a run folder may name,
``config/untrusted.py`` says. A node's keys are checked against the constructor first: a wrong
setting is the user's error, a TypeError inside a constructor stays ours.
"""

import errno
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, get_type_hints

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.kinds import Count, Seed, check
from dagrec_cli.config.where import agreed, check_code
from dagrec_cli.errors import ConfigError, did_you_mean

UNCHECKED = ("seed", "seeds", "metrics", "progress", "resume")  # here, of dagrec train
TRAIN: dict[str, Any] = {  # what it has beside these and its groups
    "evaluate_on": Literal["test", "validation"],
    "threads": Literal["auto"] | Count,
    "keep_checkpoints": bool,
    "rerun": bool,
    "notes": bool,
}
# What a config need not name where all our options agree; other settings are read there, too.
COMPLETED = ("model.", "trainer.validation_draw")
REPLACED = {  # settings that were, and what says the same
    "model.dag_mask": "model.dag_mask is now model.mask; use model.mask=hard for true, "
    "model.mask=none for false."
}


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


def factory(node: DictConfig, group: str, kind: type = object) -> partial[Any]:
    """Return a function of facts that builds the object of a config node, whose settings are right.

    Parameters
    ----------
    node
        A mapping with ``_target_`` and exactly the keyword-only parameters of that class; of a
        model's, those on which all of ours agree may be missing (:func:`agreed`); so may what runs
        of earlier versions do not name.
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
    settings = plain(node)
    target = str(settings.pop("_target_", ""))
    cls = _import(target, group)
    if not getattr(kind, "_is_protocol", False) and not issubclass(cls, kind):
        raise _other(node, group, kind)
    allowed = parameters_of(cls)
    for name in settings:
        if name not in allowed:
            if said := REPLACED.get(f"{group}.{name}"):
                raise ConfigError(said)
            hint = did_you_mean(name, allowed, f"{group}.")
            raise ConfigError(
                f"{group}.{name} is no setting of {target}; {hint}it has {', '.join(allowed)}."
            )
    missing = (name for name in agreed(group) if name in allowed and name not in settings)
    shared = {n: agreed(group)[n] for n in missing if f"{group}.{n}".startswith(COMPLETED)}
    settings |= shared
    for name, annotation in allowed.items():
        if name not in settings:
            raise ConfigError(f"{group}.{name} is missing; {target} needs it.")
        check(f"{group}.{name}", settings[name], annotation)

    from hydra.utils import instantiate

    how: Any = {"_partial_": True, "_recursive_": False, "_convert_": "all"}
    made: partial[Any] = instantiate(node, **how, **shared)
    return made


def check_settings(config: DictConfig, *unchecked: str, **kinds: Any) -> None:
    """Raise ConfigError if a config has a top-level key that nothing reads, or a wrong value.

    Parameters
    ----------
    unchecked
        Groups, and settings that are checked where they are used.
    kinds
        Kind of each other setting, see :mod:`dagrec_cli.config.kinds`.
    """
    kinds = dict.fromkeys(unchecked, Any) | kinds
    settings = plain(config)
    for key, value in settings.items():
        if key not in kinds:
            hint, known = did_you_mean(key, kinds), ", ".join(filter(kinds.__contains__, settings))
            raise ConfigError(f"unknown setting {key!r}; {hint}known: {known}.")
        check(key, value, kinds[key])


def plain(node: DictConfig) -> dict[str, Any]:
    """Return a config as plain, resolved Python containers."""
    return {str(k): v for k, v in OmegaConf.to_container(node, resolve=True).items()}  # type: ignore[union-attr]


def parameters_of(cls: type) -> dict[str, Any]:
    """Return a class's settings, its constructor's keyword-only parameters, and their annotations.

    A constructor that takes ``**settings`` hands them to its parent, whose settings then count too.
    """
    settings: dict[str, Any] = {}
    for ancestor in cls.__mro__:
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(ancestor.__init__).parameters.values()  # type: ignore[misc]
        kinds = _annotations(ancestor.__init__)  # type: ignore[misc]
        names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in settings]
        settings |= {name: kinds.get(name, Any) for name in names}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return settings


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations; none where one is imported for type checkers alone."""
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        return {}


def check_loss_and_sampler(loss: str, *, needs_negatives: bool, n_sample: int) -> None:
    """Raise ConfigError unless a loss gets the negatives it needs, and none that it ignores.

    Parameters
    ----------
    loss
        The loss's name, for the message.
    needs_negatives
        Whether the loss compares the target with samples.
    n_sample
        Negatives per pair that the sampler draws.
    """
    if needs_negatives and not n_sample:
        raise ConfigError(
            f"loss {loss} needs negatives but sampler is none; add "
            "sampler=popularity or sampler=uniform."
        )
    if not needs_negatives and n_sample:
        raise ConfigError(
            f"loss {loss} scores every service and needs no negatives, but the sampler draws "
            f"{n_sample}; use sampler=none, or loss=bpr."
        )


def check_sampler_and_mask(sampler: str, *, needs_mask: bool, mask: object) -> None:
    """Raise ConfigError if a sampler draws from what a hard mask allows, but there is none."""
    if needs_mask and mask != "hard":
        raise ConfigError(
            f"sampler {sampler} draws from the successors that a hard mask allows, but "
            f"model.mask is {mask}; use model.mask=hard, or sampler=popularity."
        )


def check_side(evaluate_on: str, validation_share: float) -> None:
    """Raise ConfigError unless there are pairs such as ``evaluate_on`` names."""
    if evaluate_on == "validation" and not validation_share:
        raise ConfigError(
            "evaluate_on=validation needs validation pairs but trainer.validation_share is 0; "
            "use trainer.validation_share=0.2."
        )


def check_train(config: DictConfig, groups: Iterable[str]) -> list[int]:
    """Return the seeds of ``dagrec train``; raise ConfigError for a wrong setting at the top."""
    check_settings(config, *groups, *UNCHECKED, **TRAIN)
    return seeds_of(config.seed, config.seeds)


def seeds_of(seed: object, seeds: object) -> list[int]:
    """Return the seeds of a run: ``seeds`` if given, else the single ``seed``.

    Raises
    ------
    ConfigError
        If a seed is no whole number of 0 or more, one stands twice, or ``seeds`` is no list.
    """
    if seeds is not None and (isinstance(seeds, str) or not isinstance(seeds, Sequence)):
        raise ConfigError(f"seeds is {seeds!r}; give a list, such as seeds=[0,1,2].")
    chosen = [seed] if seeds is None else list(seeds)
    for value in chosen:
        check("seed", value, Seed)
    if len(set(chosen)) < len(chosen) or not chosen:
        raise ConfigError(f"seeds is {chosen}; give one or more seeds, each once.")
    return [int(value) for value in chosen if isinstance(value, int)]


def _other(node: DictConfig, group: str, kind: type) -> ConfigError:
    return ConfigError(f"{group}._target_ is {node._target_!r}, which is no {kind.__name__}.")


TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}  # open, whatever is imported


def _import(target: str, group: str) -> type:
    from importlib import import_module

    module, _, name = target.rpartition(".")
    package = module.partition(".")[0]
    setting = f"{group}._target_ {target!r}"
    check_code(package)
    try:
        cls = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{setting} does not exist ({error}).") from error
    except Exception as error:  # of the user's own code
        if isinstance(error, OSError) and error.errno in TOO_MANY_FILES:
            raise
        raise ConfigError(
            f"{setting} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if not inspect.isclass(cls) or cls.__module__.partition(".")[0] != package:
        raise ConfigError(f"{setting} is no class of {package}.")
    if missing := getattr(cls, "__abstractmethods__", None):
        raise ConfigError(f"{setting} lacks {', '.join(sorted(missing))}.")
    return cls
