"""A training's state as one safetensors file, whose header holds the rest as JSON.

One file, so weights and numbers cannot be of two epochs; a hash over both, so that damage shows.
No pickle is read or written.
"""

import hashlib
import json
from typing import Annotated, NamedTuple

import msgspec
import torch
from torch import Tensor

from dagrec_cli.errors import RunError

FORMAT = 2

Count = Annotated[int, msgspec.Meta(ge=0)]


class Standing(msgspec.Struct):
    """What a checkpoint knows beside tensors.

    Attributes
    ----------
    epoch
        Epochs that are over.
    seconds
        How long training has taken.
    rows
        The history's rows.
    best_epoch, best, waited
        State of early stopping.
    good_epoch
        Epoch of the last weights whose loss was finite.
    """

    epoch: Count
    seconds: float
    rows: list[dict[str, int | float]]
    best_epoch: Count
    best: float | None
    waited: Count
    good_epoch: Count


class Checkpoint(NamedTuple):
    """Everything that the rest of a training depends on."""

    tensors: dict[str, Tensor]
    standing: Standing


def pack(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the content of a file."""
    from safetensors.torch import save

    tensors = {name: each.detach().cpu().contiguous() for name, each in checkpoint.tensors.items()}
    standing = msgspec.json.encode(checkpoint.standing).decode()
    head = {"format": str(FORMAT), "standing": standing, "sha256": _sha256(tensors, standing)}
    return save(tensors, head)


def unpack(content: bytes) -> Checkpoint:
    """Return the checkpoint of a file's content.

    Raises
    ------
    RunError
        If it is damaged, or of another format; without the file's name.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        head = json.loads(content[8 : 8 + size])["__metadata__"]
        version, standing, sha256 = head["format"], head["standing"], head["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"damaged ({' '.join(str(error).split())})") from error
    if version != str(FORMAT):
        raise RunError(f"of format {version}, but this version of dagrec reads {FORMAT}")
    if sha256 != _sha256(tensors, standing):
        raise RunError("damaged (its content does not have the hash that it names)")
    try:
        return Checkpoint(tensors, msgspec.json.decode(standing, type=Standing))
    except msgspec.DecodeError as error:
        raise RunError(f"damaged ({error})") from error


def _sha256(tensors: dict[str, Tensor], standing: str) -> str:
    found = hashlib.sha256(standing.encode())
    for name in sorted(tensors):
        each = tensors[name]
        found.update(f"{name} {each.dtype} {tuple(each.shape)}\n".encode())
        found.update(each.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
