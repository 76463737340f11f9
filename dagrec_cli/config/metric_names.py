"""Which metrics there are, by name: those that every table has, and others with a cut-off."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from dagrec_cli.config.kinds import OneOf, check
from dagrec_cli.errors import ConfigError, did_you_mean

METRICS = ("accuracy", "precision", "recall", "f1", "ndcg", "mrr", "hr@1", "hr@3", "hr@5")
MACRO = ("precision", "recall", "f1")  # means over classes
OF_RANKS = ("ndcg", "mrr", "hr")  # with any cut-off: of each pair by itself
OF_SETS = ("hit", "recall")  # with a cut-off: of all that follows a node, taken together
OF_LISTS = ("coverage", "popularity")  # with a cut-off: of what is recommended, right or wrong
Average = Literal["step", "composition"]
Averages = Literal["step", "composition", "both"]


class MetricName(OneOf):
    """Annotates the name of a metric: one of :data:`METRICS`, or ``NAME@K`` for any cut-off K.

    >>> [name in MetricName() for name in ("ndcg", "ndcg@10", "hit@3", "hr", "f1@3", "hr@0")]
    [True, True, True, False, False, False]
    """

    def __init__(self, *more: str) -> None:
        super().__init__(METRICS)
        self.cut = (*OF_RANKS, *OF_SETS, *more)

    def __contains__(self, value: object) -> bool:
        pattern = rf"({'|'.join(self.cut)})@[1-9]\d{{0,8}}"
        return value in self.names or bool(re.fullmatch(pattern, str(value)))

    @property
    def words(self) -> str:
        """What may be used, for messages."""
        return f"{super().words}, or {', '.join(self.cut)} with a cut-off, such as ndcg@10"

    def near(self, value: str) -> str:
        """Return a question with the nearest metric, of the same cut-off if there is one."""
        digits = re.search(r"[1-9]\d*$", value)
        return did_you_mean(
            value, [*self.names, *(f"{name}@{digits[0] if digits else 10}" for name in self.cut)]
        )


Metric = Annotated[str, MetricName()]
AnyMetric = Annotated[str, MetricName(*OF_LISTS)]


def metrics_of(value: object) -> tuple[str, ...]:
    """Return the metrics of the setting ``metrics``, which holds one or a list of them.

    Raises
    ------
    ConfigError
        If it holds something else.
    """
    names: Any = [value] if isinstance(value, str) else value
    names = [*names] if isinstance(names, Sequence) else names
    check("metrics", names, list[str])
    for each in names:
        check("metrics", each, AnyMetric)
    return tuple(dict.fromkeys(each for each in names if each not in METRICS))


def averages_of(average: Averages, metric: str) -> tuple[Average, ...]:
    """Return over what figures are to be means, if a metric can be such a mean.

    Raises
    ------
    ConfigError
        If the metric is a mean over classes.
    """
    if average != "step" and metric in MACRO:
        raise ConfigError(
            f"metric is {metric}, a mean over classes, and average is {average}; use average=step, "
            "or metric=accuracy."
        )
    return ("step", "composition") if average == "both" else (average,)


def with_default(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the metrics of outcomes: those that are always shown, then others, each once."""
    return tuple(name for name in dict.fromkeys([*METRICS, *metrics]) if not of_lists([name]))


def of_lists(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return those of some metrics that are of what is recommended."""
    return tuple(each for each in metrics if each.partition("@")[0] in OF_LISTS)
