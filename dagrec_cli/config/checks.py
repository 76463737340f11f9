"""Rules across config groups, checked before any work is done."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from omegaconf import DictConfig

from dagrec_cli.config.build import plain
from dagrec_cli.config.kinds import Count, Seed, check
from dagrec_cli.errors import ConfigError

NO_SAMPLER = "sampler=none"
SAMPLERS = "sampler=popularity or sampler=uniform"
TRAIN: dict[str, Any] = {  # what dagrec train has beside its groups
    "seed": Any,
    "seeds": Any,
    "evaluate_on": Literal["test", "validation"],
    "threads": Literal["auto"] | Count,
    "progress": Any,
    "resume": Any,
    "keep_checkpoints": bool,
    "rerun": bool,
}


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
        raise ConfigError(f"loss {loss} needs negatives but sampler is none; add {SAMPLERS}.")
    if not needs_negatives and n_sample:
        raise ConfigError(
            f"loss {loss} scores every service and needs no negatives, but the sampler draws "
            f"{n_sample}; use {NO_SAMPLER}, or loss=bpr."
        )


def check_sampler_and_mask(sampler: str, *, needs_mask: bool, has_mask: object) -> None:
    """Raise ConfigError if a sampler draws from what the DAG mask allows, but there is no mask."""
    if needs_mask and has_mask is not True:
        raise ConfigError(
            f"sampler {sampler} draws from the successors that the DAG mask allows, but "
            "model.dag_mask is false; use model.dag_mask=true, or sampler=popularity."
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
    check_settings(config, **dict.fromkeys(groups, Any), **TRAIN)
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
    for each in chosen:
        check("seed", each, Seed)
    if len(set(chosen)) < len(chosen) or not chosen:
        raise ConfigError(f"seeds is {chosen}; give one or more seeds, each once.")
    return [int(each) for each in chosen if isinstance(each, int)]


def check_settings(config: DictConfig, **kinds: Any) -> None:
    """Raise ConfigError if a config has a top-level key that nothing reads, or a wrong value.

    Parameters
    ----------
    kinds
        Kind of each setting, see :mod:`dagrec_cli.config.kinds`; ``Any`` for a group.
    """
    for key, value in plain(config).items():
        if key not in kinds:
            near = get_close_matches(key, kinds, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"unknown setting {key!r}; {hint}known: {', '.join(kinds)}.")
        check(key, value, kinds[key])
