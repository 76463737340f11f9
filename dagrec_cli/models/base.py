"""What every model is: something that scores all services for a batch of contexts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dagrec_cli.config.kinds import Share
from dagrec_cli.data.contexts import ContextDag
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER, Vocabulary
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import CountPrior
from dagrec_cli.models.layers.dag_mask import DagMask
from dagrec_cli.models.layers.preferences import OwnerPreferences
from dagrec_cli.models.layers.scoring_head import ScoringHead

PlainMask = Literal["hard", "none"]
Mask = Literal[PlainMask, "prior"]
CountedOwner = Literal["none", "prior"]
Owner = Literal[CountedOwner, "embedding", "preferences"]
Prior = CountPrior | OwnerPreferences


@dataclass(frozen=True)
class Facts:
    """What a model has to know of the data before it exists.

    Attributes
    ----------
    vocabulary
        Nodes and services; node indices are ``1..n_nodes``, 0 is padding.
    graph
        The service graph that ``split.graph`` allows: of all pairs, or of those to be fitted.
    contexts
        The contexts that something follows; None where they are yet to come.
    unread
        Nodes that no fitted context holds, though one may end in them: nothing trains a model to
        read them. Empty where all names are known, and of a saved model.
    """

    vocabulary: Vocabulary
    graph: ServiceGraph
    contexts: ContextDag | None = None
    unread: Sequence[int] = ()

    @property
    def longest_context(self) -> int:
        """Number of nodes in the longest context, written out as a row."""
        return 1 if self.contexts is None else self.contexts.longest

    @property
    def n_nodes(self) -> int:
        """Number of nodes, padding not counted."""
        return len(self.vocabulary.nodes)

    @property
    def n_services(self) -> int:
        """Size of the catalogue; classes are ``0..n_services - 1``."""
        return len(self.vocabulary.services)


class Neighbour(NamedTuple):
    """A training context that has a say in what follows another.

    Attributes
    ----------
    nodes
        Indices of its nodes.
    similarity
        How alike the two are, the more the higher.
    followed
        How often each service followed it, ``[services]``.
    """

    nodes: Sequence[int]
    similarity: float
    followed: Tensor


class Evidence(NamedTuple):
    """What a model rests its scores after a context on.

    Attributes
    ----------
    counts
        How often each service followed the last 0, 1, 2, … generations of the context, as far back
        as the model looks, ``[generations + 1, services]``.
    parts
        Scores that add up to the model's own, by what gives them, ``[services]`` each; nothing
        where they are all of one kind.
    neighbours
        The training contexts that say most, if single ones have a say.
    of_owner
        The same for the owner who asks, if the model counts by owner: the last rows of ``counts``.
    """

    counts: Tensor
    parts: Mapping[str, Tensor]
    neighbours: Sequence[Neighbour]
    of_owner: Tensor | None = None


class Model(nn.Module, ABC):
    """Scores every service of the catalogue for a batch of contexts.

    Parameters
    ----------
    facts
        Sizes of the data and its service graph.
    mask
        ``hard`` rules out services that never followed the context's last node: cross-entropy
        gives them a score of minus infinity, and they rank behind all others; ``none`` does not;
        ``prior``, of a network, adds what counting believes to its scores.

    Attributes
    ----------
    is_probabilistic
        Whether the softmax of its scores is what it believes; of a network its loss decides.
    """

    is_probabilistic = False

    def __init__(self, facts: Facts, *, mask: Mask) -> None:
        super().__init__()
        self.facts = facts
        self.mask = mask

    @property
    def hard_mask(self) -> DagMask | None:
        """What rules services out; None if nothing does."""
        is_hard = self.mask == "hard"
        return DagMask(self.facts.graph, self.facts.n_services) if is_hard else None

    @property
    def device(self) -> torch.device:
        """Where the model's numbers lie."""
        weight: Tensor = next(iter(self.state_dict().values()))
        return weight.device

    @abstractmethod
    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the unmasked score of every service after each context."""

    def evidence(self, context: Contexts) -> Evidence:
        """Return what the scores after one context rest on: unless it knows better, known edges."""
        graph, n_services = self.facts.graph, self.facts.n_services
        counts = (graph.popularity(n_services), graph.times_seen(int(context.last), n_services))
        return Evidence(torch.from_numpy(np.stack(counts)), {}, [])


class CountingModel(Model):
    """A model that counts training pairs instead of following gradients.

    Attributes
    ----------
    in_order
        Whether the unit of a pair that it counts is to be its composition's place in time.
    """

    in_order = False

    @abstractmethod
    def count(self, pairs: WeightedPairs, contexts: Contexts) -> None:
        """Learn from weighted pairs; ``pairs.context`` are rows of ``contexts``."""


class OwnerEmbedding(nn.Embedding):
    """A vector for each owner that a model knows, and one for all others, which is row 0.

    Parameters
    ----------
    owner_dropout
        Probability, in ``[0, 1)``, that while training the vector that is looked up is the one for
        all others, which is how that is trained.
    """

    def __init__(self, facts: Facts, width: int, owner_dropout: Share) -> None:
        super().__init__(1 + len(facts.vocabulary.owners), width)
        self.owner_dropout = owner_dropout

    def forward(self, owners: Int[Tensor, " contexts"]) -> Float[Tensor, "contexts width"]:
        """Return the vectors of owners, by number."""
        if self.training and self.owner_dropout:
            is_dropped = torch.rand(owners.shape, device=owners.device) < self.owner_dropout
            owners = owners.masked_fill(is_dropped, UNKNOWN_OWNER)
        return super().forward(owners)


class TorchModel(Model):
    """A model trained by gradients: a state per context, then a linear score per service.

    With ``mask=prior`` a :class:`~dagrec_cli.models.layers.count_prior.CountPrior` is added to it.
    With ``owner=embedding`` a vector of the composition's owner is added to the state, with
    ``owner=preferences`` :class:`~dagrec_cli.models.layers.preferences.OwnerPreferences` to scores.

    Parameters
    ----------
    hidden
        Width of the state that :meth:`encode` returns.
    mask
        See :class:`Model`.
    edge_dropout
        Probability, in ``[0, 1)``, that a training row sees a prior in which its target never
        followed the context's last node. Needs ``mask=prior``.
    node_dropout
        For the model's :class:`~dagrec_cli.models.layers.node_features.NodeEmbedding`.
    owner
        ``none``, ``embedding``, ``preferences``, or ``prior`` for one that counts by owner first.
    owner_dropout
        For :class:`OwnerEmbedding`.

    Raises
    ------
    ConfigError
        If edges are to be dropped from a prior that is not there, or it is to count by owner.
    """

    def __init__(
        self,
        facts: Facts,
        *,
        hidden: int,
        mask: Mask,
        edge_dropout: Share,
        node_dropout: Share,
        owner: Owner,
        owner_dropout: Share,
    ) -> None:
        super().__init__(facts, mask=mask)
        self.head = ScoringHead(hidden, facts.n_services)
        if edge_dropout and mask != "prior":
            raise ConfigError(
                f"model.edge_dropout is {edge_dropout} but model.mask is {mask}, so no prior knows "
                "an edge; use model.mask=prior, or model.edge_dropout=0."
            )
        if owner == "prior" and mask != "prior":
            raise ConfigError(
                f"model.owner is prior but model.mask is {mask}, so there is no prior to count by "
                "owner; use model.mask=prior, or model.owner=embedding."
            )
        self.node_dropout = node_dropout
        by_owner, has_prior = owner == "prior", mask == "prior"
        self.prior = CountPrior(facts.vocabulary, edge_dropout, by_owner) if has_prior else None
        self.owners = OwnerEmbedding(facts, hidden, owner_dropout) if owner == "embedding" else None
        has_preferences = owner == "preferences"
        self.preferences = OwnerPreferences(facts.vocabulary) if has_preferences else None

    @property
    def priors(self) -> list[Prior]:
        """What adds to the head's scores what was counted, which differs from row to row."""
        return [prior for prior in (self.prior, self.preferences) if prior is not None]

    @abstractmethod
    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return one state per context, whoever asks."""

    def inner_loss(self, contexts: Contexts) -> Float[Tensor, " contexts"] | None:
        """Return what training adds to the loss of each row of a context; None for nothing."""
        return None

    def states(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return one state per context, of which the head's scores are."""
        states = self.encode(contexts)
        return states if self.owners is None else states + self.owners(contexts.owners)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return the unmasked score of every service after each context."""
        scores: Tensor = self.head(self.states(contexts))
        return sum((prior(contexts) for prior in self.priors), start=scores)

    def evidence(self, context: Contexts) -> Evidence:
        """Return what the prior counted, and what network, owner and prior give to the scores."""
        found, network = super().evidence(context), self.head(self.encode(context))[0]
        parts = {"network": network}
        if self.owners is not None:
            parts["owner"] = self.head(self.states(context))[0] - network
        if self.preferences is not None:
            parts["owner"] = self.preferences(context)[0]
        if self.prior is not None:
            counts, of_owner = self.prior.table.by_generation(context)
            found = found._replace(counts=counts, of_owner=of_owner)
            parts["counts"] = self.prior(context)[0]
        return found._replace(parts=parts if len(parts) > 1 else {})
