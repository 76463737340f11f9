"""What the owner who asks calls, and owners like him, added to a network's scores.

Source: "Sequential recommendation for scientific workflows", 2026, PA-Graph Transformer
(github.com/TylerCreator/sequential-recommendation-for-scientific-workflows).
Differs from the source: the logarithm of a share instead of the softmax of a sum, so that one
number can weigh it for every owner; that number is learnt with the network; the owner's own calls
come first, and what is popular last; a training row does not see the calls of its own unit.
"""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER, Vocabulary
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.count_prior import SMOOTHING, Hidden
from dagrec_cli.models.layers.interpolated_counts import Beliefs
from dagrec_cli.models.layers.truncated_counts import summed

NEIGHBOURS = 10  # owners
OWNERS_AT_ONCE = 2**10  # whose neighbours are looked up


class OwnerPreferences(nn.Module):
    """Score a service by ``a log p``, where ``p`` is its share of what the owner calls.

    To an owner's own counts those of :data:`NEIGHBOURS` owners are added, of the highest cosine of
    counts: as many calls as the cosine times :data:`SMOOTHING`, dealt out by their shares. Then
    :data:`SMOOTHING` more, by what all call, which alone is the ``p`` of an unknown owner. ``a`` is
    learnt with the network.

    Attributes
    ----------
    log_p
        Of each owner, the unknown one first.
    """

    log_p: Float[Tensor, "owners services"]

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        shape = 1 + len(vocabulary.owners), len(vocabulary.services)
        self.register_buffer("log_p", torch.zeros(shape))
        self.weight = nn.Parameter(torch.ones(()))

    def fill(self, pairs: WeightedPairs, contexts: Contexts, hidden: Hidden) -> "RowPreferences":
        """Count the rows to train on, and return what each of them sees of that."""
        return RowPreferences(self, pairs, contexts, hidden)

    def forward(self, contexts: Contexts) -> Float[Tensor, "contexts services"]:
        """Return what each context's owner prefers, from all that was counted."""
        return self.weight * self.log_p[contexts.owners]

    def of_rows(self, beliefs: Beliefs) -> Float[Tensor, "rows services"]:
        """Return what owners prefer, as training rows see it: see :class:`RowPreferences`."""
        return self.weight * beliefs.popularity


class RowPreferences:
    """What each training row sees of its owner's preferences: what a test row in its place would.

    It is looked up once, for each unit and each owner who is in it: memory by these times services,
    and time by units times owners times services.

    Parameters
    ----------
    preferences
        They are filled here with the rows, which is what test rows see.
    pairs
        The rows; ``pairs.context`` are positions in ``contexts``.
    hidden
        As in :class:`~dagrec_cli.models.layers.count_prior.RowCounts`.
    """

    def __init__(
        self,
        preferences: OwnerPreferences,
        pairs: WeightedPairs,
        contexts: Contexts,
        hidden: Hidden,
    ) -> None:
        shape = n_owners, n_services = preferences.log_p.shape
        owner = torch.from_numpy(contexts.owner[pairs.context]).long()
        cell = owner * n_services + torch.from_numpy(pairs.target)
        weight = torch.from_numpy(pairs.weight).double()
        unit = cell if pairs.unit is None else torch.from_numpy(pairs.unit).long()
        n_cells = n_owners * n_services
        keys, weight = summed(unit * n_cells + cell, weight)
        if pairs.unit is not None:
            weight = weight**pairs.repeat_alpha

        counts = torch.zeros(shape, dtype=weight.dtype)
        counts.view(-1).index_add_(0, keys % n_cells, weight)
        some = torch.split(torch.arange(n_owners), OWNERS_AT_ONCE)
        preferences.log_p.copy_(torch.cat([log_shares(counts, asked) for asked in some]))

        # Keys are sorted by unit, then by owner, as are the numbers that rows look up by.
        sizes = torch.unique(keys // n_cells, return_counts=True)[1].tolist()
        out = torch.ones_like(weight) if hidden == "row" else weight
        units = zip(torch.split(keys % n_cells, sizes), torch.split(out, sizes), strict=True)
        tables = _unit_by_unit(counts, units, is_in_order=hidden == "time")
        self.log_p = torch.cat(list(tables)).float()
        self.place = torch.unique(unit * n_owners + owner, return_inverse=True)[1]

    def beliefs(self, rows: Int[Tensor, " rows"]) -> Beliefs:
        """Return what some rows see: a logarithm of each service's share, and nothing beside it."""
        log_p, none = self.log_p[self.place[rows]], rows[:0]
        nothing = log_p.new_zeros(1, len(rows), 2), log_p.new_zeros(1, 0, 3)
        return Beliefs(log_p, torch.zeros_like(rows), none, *nothing)


def _unit_by_unit(
    counts: Float[Tensor, "owners services"],
    units: Iterable[tuple[Tensor, Tensor]],
    *,
    is_in_order: bool,
) -> Iterator[Float[Tensor, "owners_there services"]]:
    """Yield what each unit's owners prefer by the others' counts, or by those before it.

    Parameters
    ----------
    units
        The cells of the table that a unit counts in, ascending, and what is hidden from it there.
    """
    seen = torch.zeros_like(counts) if is_in_order else counts.clone()
    cells = seen.view(-1)
    for cell, hidden in units:
        if not is_in_order:
            cells[cell] -= hidden
        yield log_shares(seen, torch.unique(cell // counts.shape[1]))
        cells[cell] += hidden


def log_shares(
    counts: Float[Tensor, "owners services"], asked: Int[Tensor, " asked"]
) -> Float[Tensor, "asked services"]:
    """Return the logarithm of what share each service has for some owners.

    Parameters
    ----------
    counts
        How often each owner called each service; first those whose owner is not known.
    asked
        Numbers of owners.
    """
    popularity = counts.sum(0) + SMOOTHING / counts.shape[1]
    is_known = (asked != UNKNOWN_OWNER)[:, None]
    own = counts[asked] * is_known
    alike = normalize(own) @ normalize(counts).T
    alike[:, UNKNOWN_OWNER] = 0.0
    alike.scatter_(1, asked[:, None], 0.0)  # nobody is his own neighbour
    cosine, owner = alike.topk(min(NEIGHBOURS, len(counts)))
    near = (cosine[..., None] * normalize(counts[owner], p=1, dim=2)).sum(1)
    worth = own + SMOOTHING * (near + popularity / popularity.sum())
    return (worth / worth.sum(1, keepdim=True)).log()
