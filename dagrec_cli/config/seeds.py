"""One integer seed for everything random in a run, and the states to go on from."""

import random
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

if TYPE_CHECKING:
    from torch import Generator


N_WORDS = 624  # of a Mersenne Twister

Word = Annotated[int, Meta(ge=0, lt=2**32)]
Words = Annotated[list[Word], Meta(min_length=N_WORDS, max_length=N_WORDS)]
WordsAndPosition = Annotated[list[Word], Meta(min_length=N_WORDS + 1, max_length=N_WORDS + 1)]
Position = Annotated[int, Meta(ge=0, le=N_WORDS)]  # numpy would read on behind the words


class RandomState(msgspec.Struct):
    """State of Python's and numpy's global generators, as JSON can hold it.

    Attributes
    ----------
    python
        Version, words and the kept normal number of :mod:`random`.
    numpy
        The same of numpy's Mersenne Twister: words, position, whether a normal number is kept, it.
    """

    python: tuple[Literal[3], WordsAndPosition, float | None]
    numpy: tuple[Words, Position, Literal[0, 1], float]

    @classmethod
    def now(cls) -> "RandomState":
        """Return the states as they are."""
        version, words, kept = random.getstate()
        _, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - the global state
        return cls((version, list(words), kept), (np.asarray(keys).tolist(), *rest))

    def restore(self) -> None:
        """Set the states.

        Raises
        ------
        ValueError
            If the numbers are no state.
        """
        version, words, kept = self.python
        random.setstate((version, tuple(words), kept))
        keys, position, has_normal, normal = self.numpy
        state = ("MT19937", np.array(keys, np.uint32), position, has_normal, normal)
        np.random.set_state(state)  # noqa: NPY002


def seed_everything(seed: int) -> "Generator":
    """Seed Python, numpy and torch, and return a generator of its own for negative sampling."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
