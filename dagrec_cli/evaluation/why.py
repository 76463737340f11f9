"""Why services are recommended: what was counted, what a network adds, which data were alike."""

from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import Rows
from dagrec_cli.data.queries import Query
from dagrec_cli.data.unseen import NONE, as_asked, as_model_reads
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER
from dagrec_cli.models.base import Evidence, Model
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import GENERATIONS
from dagrec_cli.models.layers.truncated_counts import truncated

MOST_LISTED = 5  # services, or compositions, that are listed

Services = dict[str, float]


class Counted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What followed the last generations of a context.

    Attributes
    ----------
    generations
        How many, from 1, the last node's; 0: after anything.
    nodes
        Their names, the last node first: of each generation those that are not in one before it.
    seen
        How often a service followed, as the model counts; 0 for the first that was never seen.
    then
        The most frequent of these, and how often.
    owner
        Whose steps alone these are, if the model counts by owner, too.
    """

    generations: int
    nodes: list[list[str]]
    seen: float
    then: Services
    owner: str = ""


class Alike(msgspec.Struct, frozen=True):
    """A training context that votes: its nodes, how similar it is, what followed it how often."""

    nodes: list[str]
    similarity: float
    then: Services


class Example(msgspec.Struct, frozen=True):
    """A composition of the data, by its place, and what followed there how often."""

    composition: str
    then: Services


class SeenBefore(msgspec.Struct, frozen=True):
    """The fitted steps whose contexts are alike furthest back.

    Attributes
    ----------
    generations
        How far back they are; 0 if not even the last node is there.
    steps, compositions
        How many steps, of how many compositions.
    examples
        Some of these, those first where what is recommended first followed.
    """

    generations: int
    steps: int
    compositions: int
    examples: list[Example]


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer rests on; of several contexts (paths to one node) the first one's.

    Attributes
    ----------
    counts
        What followed ever more generations of the context, as far as it was seen: whoever asked,
        then for the owner who asks.
    parts
        The probability of each recommended service if one part of the model were all of it.
    neighbours
        The training contexts that vote most.
    earlier
        The steps that are alike; None if the data are not at hand.
    not_shown
        Why there are none.
    """

    counts: list[Counted]
    parts: dict[str, Services] = msgspec.field(default_factory=dict)
    neighbours: list[Alike] = msgspec.field(default_factory=list)
    earlier: SeenBefore | None = None
    not_shown: str = ""


class EarlierSteps:
    """The steps that a model was fitted on, to be asked which are like a context.

    Parameters
    ----------
    dataset
        The data in the model's numbers.
    rows
        The fitted pairs.
    places
        What each composition is called.
    """

    def __init__(self, dataset: Dataset, rows: Rows, places: Sequence[str]) -> None:
        contexts, entry = as_model_reads(dataset)
        pairs = dataset.pairs.take(rows)
        is_read = entry[pairs.context] != NONE
        self.pairs = pairs.take(np.flatnonzero(is_read))
        entries, self.entry = np.unique(entry[self.pairs.context], return_inverse=True)
        self.depth = contexts.depth[entries]
        self.hashes = list(truncated(contexts, entries, GENERATIONS))
        self.services = dataset.vocabulary.services
        self.places = places

    def like(self, dag: ContextDag, entry: NDArray[np.int32], best: Sequence[int]) -> SeenBefore:
        """Return what is like a context, furthest back; ``best`` are the classes recommended."""
        of_context = list(truncated(dag, entry, min(GENERATIONS, int(dag.depth[entry[0]]))))
        for generations in range(len(of_context), 0, -1):
            hashed = self.hashes[generations - 1] == of_context[generations - 1]
            is_alike = hashed & (self.depth >= generations)
            if is_alike.any():
                return self._summary(generations, np.flatnonzero(is_alike[self.entry]), best)
        return SeenBefore(0, 0, 0, [])

    def _summary(
        self, generations: int, rows: NDArray[np.int64], best: Sequence[int]
    ) -> SeenBefore:
        target, composition = self.pairs.target[rows], self.pairs.composition[rows]
        worth = np.full(len(self.services), len(best))
        worth[list(best)] = np.arange(len(best))
        first = np.lexsort((composition, worth[target]))
        shown = list(dict.fromkeys(composition[first].tolist()))
        examples = [
            Example(self.places[c], self._counted(target[composition == c]))
            for c in shown[:MOST_LISTED]
        ]
        return SeenBefore(generations, len(rows), len(shown), examples)

    def _counted(self, targets: Int[np.ndarray, " steps"]) -> Services:
        counted = zip(*np.unique(targets, return_counts=True), strict=True)
        return {self.services[c]: int(n) for c, n in counted}


class Explainer:
    """Says what answers of a model rest on.

    Parameters
    ----------
    earlier
        The steps that it was fitted on; None if they are not at hand.
    not_shown
        Why they are not.
    """

    def __init__(self, model: Model, earlier: EarlierSteps | None, not_shown: str = "") -> None:
        self.model = model
        self.earlier = earlier
        self.not_shown = not_shown

    @torch.no_grad()
    def __call__(self, query: Query, best: Sequence[int]) -> Why:
        """Return what the answer to a query rests on; ``best`` are the classes recommended."""
        names = self.model.facts.vocabulary
        dag, (every,) = as_asked([query], names)
        entry = every[:1]
        context = Contexts(dag, entry, owner=np.array([query.owner], np.int32))
        evidence = self.model.evidence(context.to(self.model.device))
        parts = {name: scores.softmax(0) for name, scores in evidence.parts.items()}
        return Why(
            self._all_counted(dag, entry, evidence, query.owner),
            {
                name: {names.services[c]: float(f"{float(share[c]):.6g}") for c in best}
                for name, share in parts.items()
            },
            [
                Alike(names.spell(sorted(each.nodes)), each.similarity, self._then(each.followed))
                for each in evidence.neighbours
            ],
            self.earlier.like(dag, entry, best) if self.earlier else None,
            self.not_shown,
        )

    def _all_counted(
        self, dag: ContextDag, entry: NDArray[np.int32], evidence: Evidence, owner: int
    ) -> list[Counted]:
        """Return what was counted whoever asked, and then for the owner who asks."""
        found = self._counted(dag, entry, evidence.counts)
        if len(found) > 1 and found[1].seen:  # then what follows anything decides nothing
            found = found[1:]
        if evidence.of_owner is not None and owner != UNKNOWN_OWNER:
            name = self.model.facts.vocabulary.owners[owner - 1]
            fewest = len(evidence.counts) - len(evidence.of_owner)
            found += self._counted(dag, entry, evidence.of_owner, fewest, name)
        return found

    def _counted(
        self,
        dag: ContextDag,
        entry: NDArray[np.int32],
        counts: Float[Tensor, "_ services"],
        fewest: int = 0,
        owner: str = "",
    ) -> list[Counted]:
        """Return what was counted, generation by generation, up to the first never seen."""
        found: list[Counted] = []
        spelled: list[list[str]] = []
        for generations, followed in enumerate(counts, start=fewest):
            if generations:
                spelled.append(self._generation(dag, entry, generations))
            seen = _whole_count(float(followed.sum()))
            found.append(Counted(generations, list(spelled), seen, self._then(followed), owner))
            if not seen:
                break
        return found

    def _generation(self, dag: ContextDag, entry: NDArray[np.int32], generation: int) -> list[str]:
        """Return the names of the nodes that are so many links above, by the shortest way."""
        _, ancestors, links = dag.within(entry, generation)
        names = self.model.facts.vocabulary.nodes
        return sorted({names[n - 1] for n in dag.node[ancestors[links == generation - 1]]})

    def _then(self, followed: Float[Tensor, " services"]) -> Services:
        count, services = followed.sort(descending=True, stable=True)
        names = self.model.facts.vocabulary.services
        listed = zip(services[:MOST_LISTED].tolist(), count[:MOST_LISTED].tolist(), strict=True)
        return {names[c]: _whole_count(n) for c, n in listed if n}


def _whole_count(count: float) -> float:
    """Return a count: a whole number, unless what is repeated counts less (repeat_alpha)."""
    return int(count) if count == int(count) else round(count, 2)
