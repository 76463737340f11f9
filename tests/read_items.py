"""What readers' tests ask of a composition that was read, or of what is wrong with it."""

from typing import Any

from dagrec_cli.data.composition import Composition, Invalid

SETTINGS: dict[str, Any] = {  # of every reader, but for its path
    "default_path": None,
    "on_cycle": "error",
    "on_invalid": "error",
    "context": "path",
    "max_paths": 1000,
    "cache": False,
}


def links(item: Composition | Invalid) -> list[str]:
    """Every link in short names, sorted: ``data_input -> cat1``."""
    assert isinstance(item, Composition), item
    short = [name.partition("_")[2] for name in item.names]
    return sorted(f"{short[source]} -> {short[target]}" for source, target in item.links)


def faults(item: Composition | Invalid) -> list[str]:
    """Everything that is wrong, with its place."""
    assert isinstance(item, Invalid), item
    return [str(fault) for fault in item.faults]
