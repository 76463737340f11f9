"""How many threads torch may use.

Below :data:`SMALL_EPOCH` padded cells an epoch is a few milliseconds, threads gain nothing, and
when other processes share the cores they wait for each other: ten times slower was measured with
both of two cores taken.
"""

from typing import Literal

import torch

from dagrec_cli.data.dataset import Dataset

SMALL_EPOCH = 20_000  # distinct contexts times the longest context


def set_threads(wanted: int | Literal["auto"], dataset: Dataset) -> int:
    """Set torch's threads and return their number.

    Parameters
    ----------
    wanted
        A number of 1 or more, or ``auto``: one for small data, all cores otherwise.
    """
    if wanted != "auto":
        torch.set_num_threads(wanted)
    elif len(dataset.contexts) * int(dataset.contexts.depth.max()) < SMALL_EPOCH:
        torch.set_num_threads(1)
    return torch.get_num_threads()
