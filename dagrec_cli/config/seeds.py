"""One integer seed for everything random in a run."""

import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Generator


def seed_everything(seed: int) -> "Generator":
    """Seed Python, numpy and torch, and return a generator for negative sampling alone.

    A checkpoint holds the states of this generator and of torch's own. Nothing here draws from
    Python's or numpy's, which are seeded for code of others: a resumed run does not restore them.
    """
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
