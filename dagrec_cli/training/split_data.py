"""Prepared data, its sides, and what a model has to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut, Part
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.split_base import Split, SplitUnits, Stream
from dagrec_cli.data.splits import Leakage, leakage, leakage_in_time
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts


@dataclass(frozen=True)
class SplitData:
    """One data set, split, ready to train and test on.

    Attributes
    ----------
    train, validation, test
        Row numbers of ``dataset.pairs``; validation may be empty and is no part of ``train``.
    facts
        The names and the service graph that the split lets a model know, of all pairs or of
        ``train``; the data set is in their numbers.
    leakage
        What test pairs share with training and validation pairs.
    side
        What ``test`` holds: ``test`` pairs, or others that are evaluated in their place.
    held_out
        What became of the shares that were asked for, by side: ``test``, ``validation``.
    units
        What the split keeps apart; None of pairs that no split was asked for.
    part
        Which of the split's parts this is; None if there is one alone.
    stream
        What each pair is predicted from, where not all are from the same; ``train`` holds all then.
    """

    dataset: Dataset
    train: Rows
    validation: Rows
    test: Rows
    facts: Facts
    leakage: Leakage
    side: Literal["test", "validation", "train", "all"] = "test"
    held_out: Mapping[str, HeldOut] = field(default_factory=dict)
    units: SplitUnits | None = None
    part: Part | None = None
    stream: Stream | None = None

    @property
    def is_main(self) -> bool:
        """Whether these are test pairs, and of several parts the first."""
        return self.side == "test" and not (self.part and self.part.number)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many pairs to train and to test on."""
        return len(self.train), len(self.test)

    @classmethod
    def of(cls, dataset: Dataset, split: Split, *, reads_owners: bool = False) -> "SplitData":
        """Split a data set, and take names and service graph of what there is to fit a model on.

        Parameters
        ----------
        reads_owners
            Whether a model is to know the owners of that, too.

        Raises
        ------
        DataError
            If a side of the split would be empty, or there are no owners to be read.
        """
        train, test = sides = split.split(dataset)
        stream = split.stream(dataset)
        shown = leakage(dataset, train, test)
        if stream is not None:
            shown = leakage_in_time(dataset, test, stream)
            train = np.arange(len(dataset.pairs.context))  # what is kept has counted everything
        held_out = {"test": split.report(dataset, sides)}
        units = split.units(dataset)
        dataset = split.known(dataset, train)
        if reads_owners:
            dataset = dataset.with_owners_of(train)
        return cls(
            dataset,
            *(train, train[:0], test),
            _facts(dataset, train, knows_all_edges=split.graph == "all"),
            shown,
            held_out=held_out,
            units=units,
            part=split.chosen,
            stream=stream,
        )

    def validated(self, split: Split, share: float, draw: int = 0) -> "SplitData":
        """Return the same data with a share of the training pairs held out for validation.

        Raises
        ------
        ConfigError
            If each pair has a training of its own, or the split cannot draw so.
        DataError
            If one of the two sides would be empty.
        """
        if self.stream is not None:
            raise ConfigError(
                "with split.blocks=each no pair is held out for validation; use model=backoff "
                "model.mask=none, which needs none, or split.blocks=10."
            )
        train, validation = sides = split.hold_out(self.dataset, self.train, share, draw)
        dataset = split.known(self.dataset, train)
        if self.facts.vocabulary.owners:
            dataset = dataset.with_owners_of(train)
        return replace(
            self,
            dataset=dataset,
            train=train,
            validation=validation,
            facts=_facts(dataset, train, knows_all_edges=split.graph == "all"),
            held_out={**self.held_out, "validation": split.report(self.dataset, sides, share)},
        )

    def on_validation(self) -> "SplitData":
        """Return the same data with the validation pairs in the place of the test pairs."""
        return replace(
            self,
            test=self.validation,
            leakage=leakage(self.dataset, self.train, self.validation),
            side="validation",
        )

    def whole(self) -> "SplitData":
        """Return the same data with every step to be fitted, and every name and edge known."""
        rows, dataset = np.arange(len(self.dataset.pairs.context)), self.dataset
        if self.facts.vocabulary.unknown is not None:
            dataset = dataset.known_by(dataset.vocabulary_of(rows))
        if self.facts.vocabulary.owners:
            dataset = dataset.with_owners_of(rows)
        facts = _facts(dataset, rows, knows_all_edges=True)
        return replace(self, dataset=dataset, train=rows, validation=rows[:0], facts=facts)


def _facts(dataset: Dataset, fitted: Rows, *, knows_all_edges: bool) -> Facts:
    """Return what a model knows that is fitted on some steps."""
    known, unread = dataset.vocabulary.of_model, np.zeros(0, np.int32)
    if known.unknown is not None:
        entries = dataset.contexts.ancestors(np.unique(dataset.pairs.context[fitted]))
        every = np.arange(1, len(known.nodes) + 1)
        unread = np.setdiff1d(every, dataset.contexts.node[entries])
    graph = dataset.graph_of_model(None if knows_all_edges else fitted)
    return Facts(known, graph, dataset.followed, unread.tolist())
