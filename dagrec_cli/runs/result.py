"""``result.json``: what came of a run, and what its figures rest on.

Kinds and ranges are in the annotations, so that reading checks them; what must fit each other is
checked whenever a record is made.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dagrec_cli.config.build import seeds_of
from dagrec_cli.config.kinds import NotNegative, Probability, Seed
from dagrec_cli.config.metric_names import MACRO, METRICS, MetricName, of_lists
from dagrec_cli.data.composition import Context
from dagrec_cli.data.held_out import HeldOut, Part
from dagrec_cli.data.splits import Leakage
from dagrec_cli.data.unseen import Unseen
from dagrec_cli.evaluation.strata import STRATA, StratumName
from dagrec_cli.evaluation.uncertainty import MetricSummary
from dagrec_cli.runs.provenance import Origin

Tally = Annotated[int, Meta(ge=0, lt=2**53)]
Size = Annotated[int, Meta(ge=1, lt=2**53)]
CLOSE = 1e-9  # between figures that were computed twice from the same outcomes


class DataFacts(Struct, frozen=True, kw_only=True):
    """What a run's figures are about.

    Attributes
    ----------
    compositions, pairs
        How many there are; those of the test have lower numbers.
    services
        Of the catalogue.
    test, test_groups
        Pairs that are evaluated, and how many groups of equal compositions they are from.
    skipped, left_out
        Compositions that were left out: how many, and which in words.
    dropped
        What was left out of compositions, with how often.
    merges
        Whether several links lead to one node of some context.
    forbidden_test_targets
        How many targets of these pairs the model's DAG mask rules out.
    part
        Which of the split's parts the test is; None if there is one alone.
    """

    sha256: str
    compositions: Size
    skipped: Tally
    left_out: str
    dropped: dict[str, Tally]
    context: Context
    merges: bool
    pairs: Size
    nodes: Size
    services: Size
    train: Tally
    validation: Tally
    test: Size
    test_groups: Size
    held_out: dict[str, HeldOut]
    leakage: Leakage
    forbidden_test_targets: Tally
    part: Part | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if a part is larger than the whole, or paths merge."""
        for whole, parts in (
            ("pairs", ("train", "validation", "test")),
            ("test", ("test_groups", "forbidden_test_targets")),
            ("nodes", ("services",)),
        ):
            for part in parts:
                if (size := getattr(self, part)) > getattr(self, whole):
                    raise ValueError(f"{part} is {size:,}, more than {whole}")
        if self.merges and self.context == "path":
            raise ValueError("paths do not merge")


class ModelFacts(Struct, frozen=True):
    """What a run's model is: its weights, and for each seed the epochs and which of them is best.

    A model that counts has no parameters, and no epochs. With ``refit`` the model was trained anew
    for as many epochs as the best one, on validation pairs, too. What a probabilistic one believes
    is the softmax of its scores.
    """

    parameters: Tally
    mask: Literal["hard", "prior", "none"]
    epochs: list[Tally]
    best_epoch: list[Tally]
    refit: bool = False
    is_probabilistic: bool = False

    @property
    def rows(self) -> list[int]:
        """How many epochs of each seed ``metrics.csv`` has."""
        both = zip(self.epochs, self.best_epoch, strict=True)
        return [n + best * self.refit for n, best in both]

    def __post_init__(self) -> None:
        """Raise ValueError if an epoch is kept that was not, or a model that counts has some."""
        if any(best > n for n, best in zip(self.epochs, self.best_epoch, strict=False)):
            raise ValueError("best_epoch is later than the last one")
        if (any(self.epochs) or self.refit) and not self.parameters:
            raise ValueError("a model without parameters has epochs")


class Seconds(Struct, frozen=True):
    """How long the parts of a run took, over all seeds; ``per_epoch`` is one training step."""

    data: NotNegative
    train: NotNegative
    evaluate: NotNegative
    per_epoch: NotNegative
    total: NotNegative


class Stratum(Struct, frozen=True):
    """How many of the evaluated steps are of a stratum, and what each seed's metrics are there."""

    steps: Size
    per_seed: dict[Seed, dict[str, Probability]]


class Finished(Origin, frozen=True, kw_only=True, tag="finished"):
    """``result.json`` of a run that went through.

    Attributes
    ----------
    metrics, per_seed
        Over all seeds, and of each one.
    ceilings
        Metrics of the best predictors of some kinds.
    strata
        Parts of the evaluated steps, by what was fitted; none where a saved model is evaluated,
        which does not say what it was fitted on.
    lists
        Of each seed, figures of what it recommends, where they were asked for.
    evaluated_on
        Which pairs ``data.test`` counts.
    run, trained_on
        Where a saved model was evaluated: the folder of its run, and that run's data and split in
        words, which is empty if these pairs are its own test.
    has_final
        Whether a model that was fitted on all steps lies in the folder too, in ``final/``.
    unseen, rule
        What the model does not know of the data, and what becomes of it.
    """

    seeds: Annotated[tuple[Seed, ...], Meta(min_length=1)]
    data: DataFacts
    metrics: dict[str, MetricSummary]
    per_seed: dict[Seed, dict[str, Probability]]
    ceilings: dict[Literal["last_node", "context", "owner", "law"], dict[str, MetricSummary]]
    evaluated_on: Literal["test", "validation", "train", "all"]
    tie_rule: str
    model: ModelFacts
    seconds: Seconds
    run: str | None = None
    trained_on: str = ""
    has_final: bool = False
    strata: dict[StratumName, Stratum] = msgspec.field(default_factory=dict)
    lists: dict[Seed, dict[str, NotNegative]] = msgspec.field(default_factory=dict)
    unseen: Unseen | None = None
    rule: str = ""

    @property
    def share(self) -> float:
        """Pairs that are evaluated, of those and the ones that the model had, in ``[0, 1]``."""
        data = self.data
        n_had = data.train + (data.validation if self.evaluated_on == "test" else 0)
        return data.test / (data.test + n_had)

    def __post_init__(self) -> None:
        """Raise ValueError if a part does not fit another."""
        if why := next(self._misfits(), ""):
            raise ValueError(why)

    def other_settings(self, given: Mapping[str, Any]) -> Iterator[str]:
        """Yield what this says of the settings of a config, by dotted key, and that does not."""
        stated: dict[str, object] = {
            "model.mask": self.model.mask,
            "data.context": self.data.context,
            "evaluate_on": self.evaluated_on,
        }
        if self.run:  # a saved model is evaluated on what its user asks for
            del stated["evaluate_on"]
        if self.data.part:
            stated["split.part"] = self.data.part.number
        if self.model.refit:
            stated["trainer.refit"] = True
        for key, value in stated.items():
            if (setting := given.get(key, value)) != value:
                yield f"{key} is {setting} there, not {value}"
        if tuple(seeds_of(given.get("seed"), given.get("seeds"))) != self.seeds:
            yield "there are other seeds"
        if max(self.model.epochs) > given["trainer.epochs"]:
            yield "there are fewer epochs"

    def _of_strata(self) -> Iterator[str]:
        """Yield what strata cannot be: together they are all steps, and have their figures."""
        for names in STRATA if self.strata else ():
            some = [self.strata[name] for name in names if name in self.strata]
            if sum(stratum.steps for stratum in some) != self.data.test:
                yield f"strata are {' and '.join(names)}, but not all steps are of one"
            elif any(stratum.per_seed.keys() != self.per_seed.keys() for stratum in some):
                yield "strata have other seeds"
            else:
                yield from self._other_means(some)

    def _other_means(self, some: Sequence[Stratum]) -> Iterator[str]:
        for seed, whole in self.per_seed.items():
            of_seed = [stratum.per_seed[seed] for stratum in some]
            if any(figures.keys() != {*METRICS} for figures in of_seed):
                yield "strata have other metrics"
                return
            for name in {*METRICS} - {*MACRO}:
                parts = zip(some, of_seed, strict=True)
                mean = sum(part.steps * figures[name] for part, figures in parts) / self.data.test
                if abs(mean - whole[name]) > CLOSE:
                    yield f"{name} of the strata is not that of all steps"

    def listed(self, seeds: Iterable[int]) -> dict[str, float]:
        """Return the means over some seeds of the figures of what is recommended."""
        of_seeds = [self.lists[seed] for seed in seeds if self.lists]
        names = of_seeds[0] if of_seeds else ()
        return {name: sum(each[name] for each in of_seeds) / len(of_seeds) for name in names}

    def _other_lists(self) -> Iterator[str]:
        if self.lists and sorted(self.lists) != sorted(self.seeds):
            yield "lists has other seeds"
        asked = [sorted(each) for each in self.lists.values()]
        if any(names != asked[0] for names in asked):
            yield "lists has other metrics for another seed"
        yield from (f"{name!r} is of no list" for name in chain(*asked) if not of_lists([name]))

    def _misfits(self) -> Iterator[str]:
        if len(set(self.seeds)) < len(self.seeds):
            yield "a seed stands twice in seeds"
        if sorted(self.per_seed) != sorted(self.seeds):
            yield f"per_seed has the seeds {', '.join(map(str, self.per_seed))}"
        if not len(self.seeds) == len(self.model.epochs) == len(self.model.best_epoch):
            yield "model.epochs and model.best_epoch do not have a number for each seed"
        if "dagrec" not in self.versions:
            yield "versions does not name dagrec"
        yield from self._other_lists()
        every = {*METRICS, *self.metrics}
        named = {"metrics": self.metrics.keys()} | {s: f.keys() for s, f in self.per_seed.items()}
        yield from (f"{k} has no {min(every - v)}" for k, v in named.items() if every - v)
        known = MetricName()
        names = chain(*named.values(), *self.ceilings.values())
        yield from (f"{name!r} is no metric" for name in names if name not in known)
        for name, of in chain(self.metrics.items(), *(c.items() for c in self.ceilings.values())):
            if not of["low"] <= of["mean"] <= of["high"]:
                yield f"the interval of {name} does not hold its mean"
        yield from self._of_strata()


class Stopped(Origin, frozen=True, kw_only=True):
    """``result.json`` of a run that did not go through: why, and at which seed if it came so far.

    ``model.safetensors`` holds the last good weights of that seed, under the first one's name.
    """

    error: str
    seeds: tuple[Seed, ...] = ()
    stopped_at_seed: Seed | None = None
    data: DataFacts | None = None


class Failed(Stopped, frozen=True, tag="failed"):
    """Something went wrong."""


class Interrupted(Stopped, frozen=True, tag="interrupted"):
    """The user stopped it."""


Result = Finished | Failed | Interrupted


def stopped(began: Origin, reason: BaseException, **about: Any) -> Failed | Interrupted:
    """Return the result of a run that something stopped.

    Parameters
    ----------
    about
        What else is known of it, see :class:`Stopped`.
    """
    about |= msgspec.structs.asdict(began)
    if isinstance(reason, KeyboardInterrupt):
        return Interrupted(error=str(reason) or "interrupted", **about)
    return Failed(error=str(reason) or type(reason).__name__, **about)
