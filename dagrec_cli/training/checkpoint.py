"""A training's state as one safetensors file, whose header holds the rest as JSON.

One file, so weights and numbers cannot be of two epochs; a hash over both, so that damage shows.
No pickle is read or written.
"""

import hashlib
import json
from typing import NamedTuple

import msgspec
import torch
from torch import Tensor

from dagrec_cli.config.kinds import Natural
from dagrec_cli.errors import RunError

FORMAT = 3


class Header(msgspec.Struct):
    """What a checkpoint holds beside tensors.

    Attributes
    ----------
    epoch
        Epochs that are over.
    seconds
        How long training has taken.
    rows
        The history's rows.
    best_epoch, best, waited, waited_steps
        State of early stopping.
    good_epoch
        Epoch of the last weights whose loss was finite.
    """

    epoch: Natural
    seconds: float
    rows: list[dict[str, int | float]]
    best_epoch: Natural
    best: float | None
    waited: Natural
    waited_steps: Natural
    good_epoch: Natural


class Checkpoint(NamedTuple):
    """Everything that the rest of a training depends on."""

    tensors: dict[str, Tensor]
    header: Header


def pack_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as the content of a file."""
    from safetensors.torch import save

    # Live tensors may lie on a GPU, or be views; what is saved is theirs at this moment.
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()
    }
    header = msgspec.json.encode(checkpoint.header).decode()
    metadata = {
        "format": str(FORMAT),
        "header": header,
        "sha256": _sha256(tensors, header),
    }
    return save(tensors, metadata)


def unpack_checkpoint(content: bytes) -> Checkpoint:
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
        # safetensors' loader keeps the metadata to itself: 8 bytes of length, then JSON.
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        version = metadata["format"]
        if version != str(FORMAT):
            raise RunError(f"of format {version}, but this version of dagrec reads {FORMAT}")
        header, sha256 = metadata["header"], metadata["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError("damaged, no whole checkpoint") from error
    if sha256 != _sha256(tensors, header):
        raise RunError("damaged (its content does not have the hash that it names)")
    try:
        return Checkpoint(tensors, msgspec.json.decode(header, type=Header))
    except msgspec.DecodeError as error:
        raise RunError("damaged, no whole checkpoint") from error


def _sha256(tensors: dict[str, Tensor], header: str) -> str:
    """Return a hash over names, kinds, shapes and bytes of tensors, and over the header."""
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
