"""One integer seed for everything random in a run."""

import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Generator


def seed_everything(seed: int) -> "Generator":
    """Seed Python, numpy and torch, and return a generator of its own for negative sampling."""
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - for libraries that draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
