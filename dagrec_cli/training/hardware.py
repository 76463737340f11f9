"""What computes: which device, in which precision, with how many threads."""

import re
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError
from dagrec_cli.training.step import AS_IS

Precision = Literal[32, "32", "bf16"]

# Below so many padded cells (distinct contexts times the longest) an epoch is a few milliseconds
# and threads gain nothing. When other processes share the cores they wait for each other: ten times
# slower was measured with both of two cores taken.
SMALL_EPOCH = 20_000
ALL_THREADS = torch.get_num_threads()  # as many as cores, unless the environment says otherwise


def find_device(name: object) -> torch.device:
    """Return the device of a name: ``auto`` (CUDA where there is one), ``cpu``, ``cuda[:n]``.

    Raises
    ------
    ConfigError
        If the name is none of these, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not (isinstance(name, str) and re.fullmatch(r"cpu|cuda(:\d+)?", name)):
        raise ConfigError(f"trainer.device is {name!r}; use auto, cpu, cuda, or cuda:1 and so on.")
    device = torch.device(name)
    n_devices = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= n_devices:
        raise ConfigError(
            f"trainer.device is {name!r} but torch finds {n_devices} CUDA devices here; "
            "use trainer.device=auto or trainer.device=cpu."
        )
    return device


def casting(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Return what to enter while a model computes: nothing for ``32``, autocast for ``bf16``."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else AS_IS


def set_threads(wanted: int | Literal["auto"], dataset: Dataset) -> int:
    """Set torch's threads and return their number.

    Parameters
    ----------
    wanted
        A number of 1 or more, or ``auto``: one for small data, all cores otherwise.
    """
    if wanted == "auto":
        is_small = len(dataset.followed) * int(dataset.followed.depth.max()) < SMALL_EPOCH
        wanted = 1 if is_small else ALL_THREADS
    torch.set_num_threads(wanted)
    return wanted
