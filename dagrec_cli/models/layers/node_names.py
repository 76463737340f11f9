"""Vectors of names, so that a node which training never met is read like those called alike.

Source: Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017, §3.2 (a
word is the sum of its character n-grams).
Differs from the source: n-grams of 3 to 5 letters that two names share have a row each, all others
none; sums are divided by the root of their number, so that long names are no louder.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, pad

from dagrec_cli.data.naming import word_of
from dagrec_cli.data.vocabulary import UNKNOWN_NODES, Vocabulary

GRAM_SIZES = (3, 4, 5)  # letters of an n-gram
MOST_LETTERS = 200  # of a name that are read
MOST_GRAMS = 2**15  # that have a row, the most frequent


class NodeNames(nn.Module):
    """A vector for each name, from n-grams that names of the vocabulary share.

    Parameters
    ----------
    vocabulary
        The names that the model knows, of which the n-grams are.
    width
        Of a vector, 1 and up.
    std
        Deviation of a vector at the beginning, above 0.
    """

    rows: Tensor
    size: Tensor

    def __init__(self, vocabulary: Vocabulary, width: int, std: float) -> None:
        super().__init__()
        found = Counter(gram for name in vocabulary.nodes for gram in grams_of(name))
        shared = sorted((-n, gram) for gram, n in found.items() if n > 1)[:MOST_GRAMS]
        self.row = {gram: row for row, (_, gram) in enumerate(shared)}
        self.grams = nn.Parameter(torch.empty(len(self.row), width))
        nn.init.normal_(self.grams, std=std)
        rows, size = self._listed(("", *vocabulary.nodes))  # padding has no n-grams
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("size", size, persistent=False)

    def forward(self, unknown: Sequence[str] = ()) -> Float[Tensor, "indices width"]:
        """Return the vectors of all node indices, and of unknown names behind them."""
        rows, size = self._listed(unknown)
        rows = torch.cat([self.rows, rows.to(self.rows.device)])
        size = torch.cat([self.size, size.to(self.size.device)])
        starts = pad(size.cumsum(0)[:-1], (1, 0))
        sums = embedding_bag(rows, self.grams, starts, mode="sum")
        return sums * size.clamp(min=1).rsqrt()[:, None]

    def _listed(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the rows of the n-grams of names, end to end, and how many each name has."""
        rows = [[self.row[gram] for gram in grams_of(name) if gram in self.row] for name in names]
        flat, size = list(chain.from_iterable(rows)), list(map(len, rows))
        return torch.tensor(flat).long(), torch.tensor(size).long()


def grams_of(name: str) -> list[str]:
    """Return the distinct n-grams of a node's name, ``<`` before it and ``>`` behind it.

    The prefix of its kind and the case of letters have no part in it. UNKNOWN nodes have no name.

    >>> grams_of("service_Trim")
    ['<tr', 'tri', 'rim', 'im>', '<tri', 'trim', 'rim>', '<trim', 'trim>']
    """
    if name in UNKNOWN_NODES:
        return []
    word = f"<{word_of(name)[:MOST_LETTERS]}>"
    return list(dict.fromkeys(_windows(word)))


def _windows(word: str) -> Iterator[str]:
    for size in GRAM_SIZES:
        yield from (word[at : at + size] for at in range(len(word) - size + 1))
