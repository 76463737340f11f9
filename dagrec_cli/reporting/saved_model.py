"""A trained model, read back from its run folder alone.

The folder may come from a stranger: no pickle is read, no code in it is run (see
:mod:`~dagrec_cli.config.untrusted`), and weights are used only if names, types and shapes are those
that ``config.yaml``, ``vocabulary.json`` and ``graph.json`` ask for.
"""

from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.config.checks import seeds_of
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.models.base import Facts, Model
from dagrec_cli.reporting.run_folder import CONFIG, GRAPH, MODEL, RESULT, VOCABULARY
from dagrec_cli.reporting.runs import Run

APART = f"{CONFIG}, {VOCABULARY}, {GRAPH} and {MODEL} are not of one run"

Kind = TypeVar("Kind")


class _Names(msgspec.Struct):
    nodes: tuple[str, ...]
    is_service: tuple[bool, ...]
    services: tuple[str, ...]


class _Edges(msgspec.Struct):
    known: list[tuple[int, int, int]]


def named_run(path: object, command: str) -> Run:
    """Return the run that a command is given.

    Raises
    ------
    ConfigError
        If none is.
    RunError
        If the folder holds no run.
    """
    if path is None:
        raise ConfigError(f"run is null; name a run folder: dagrec {command} run=outputs/train/RUN")
    folder = Path(str(path)).expanduser()
    inside = sorted(file.parent for file in folder.glob(f"*/{RESULT}"))
    if inside and not (folder / RESULT).exists():
        raise RunError(f"{folder}: it holds runs and is none; name one, such as run={inside[-1]}")
    return Run.load(folder)


def load_model(run: Run, seed: int | None = None) -> Model:
    """Return a run's model, ready to score.

    Parameters
    ----------
    seed
        Which of the run's seeds; None for the first.

    Raises
    ------
    RunError
        If a file is missing, damaged, or does not fit the others, or the config is not safe.
    """
    file = run.path / CONFIG
    model = _build(checked_node(run.config, "model", file), saved_facts(run), file)
    _load_weights(model, run.path / _weights_name(run, seed))
    return model.eval()


def saved_seeds(run: Run) -> list[int]:
    """Return the seeds of a run, the one of ``model.safetensors`` first.

    Raises
    ------
    RunError
        If ``result.json`` does not hold them.
    """
    try:
        return seeds_of(None, run.result.get("seeds", "missing"))
    except ConfigError as error:
        raise RunError(f"{run.path}: {error}") from error


def saved_choices(run: Run) -> dict[str, str]:
    """Return which option each config group of a run was given."""
    choices = run.result.get("choices")
    return {str(k): str(v) for k, v in choices.items()} if isinstance(choices, dict) else {}


def saved_facts(run: Run) -> Facts:
    """Return the vocabulary and the service graph that a run's model was made for.

    Raises
    ------
    RunError
        If their files are missing, damaged, or do not fit each other.
    """
    names = _decode(run.path / VOCABULARY, _Names)
    flags = dict(zip(names.nodes, names.is_service, strict=False))
    is_sound = (
        len(flags) == len(names.nodes) == len(names.is_service)
        and len(set(names.services)) == len(names.services) > 0
        and all(flags.get(name) for name in names.services)
    )
    if not is_sound:
        raise RunError(
            f"{run.path / VOCABULARY}: it must name each node once, say of each whether it is a "
            "service, and its catalogue must be services among them; run it again."
        )
    vocabulary = Vocabulary(names.nodes, names.is_service, names.services)
    edges = np.array(_decode(run.path / GRAPH, _Edges).known, np.int64).reshape(-1, 3)
    if edges.min(initial=1) < 1 or edges[:, :2].max(initial=1) > len(names.nodes):
        raise RunError(
            f"{run.path / GRAPH}: an edge is none between nodes 1 to {len(names.nodes)}; {APART}."
        )
    ends = edges[:, :2].astype(np.int32).T
    graph = ServiceGraph(ends[0], ends[1], edges[:, 2], vocabulary.service_class)
    return Facts(vocabulary, graph, longest_context=1)  # contexts are yet to come


def _build(node: DictConfig, facts: Facts, file: Path) -> Model:
    try:
        model = build(node, "model", facts)
    except ConfigError as error:
        raise RunError(f"{file}: {error}") from error
    except (TypeError, RuntimeError, MemoryError, OverflowError) as error:
        raise RunError(f"{file}: its model cannot be built ({_one_line(error)}).") from error
    if not isinstance(model, Model):
        raise RunError(f"{file}: model._target_ is {node['_target_']!r}, which is no model.")
    return model


def _weights_name(run: Run, seed: int | None) -> str:
    seeds = saved_seeds(run)
    if seed is None or seed == seeds[0]:
        return MODEL
    if seed not in seeds:
        raise RunError(f"{run.path}: no seed {seed}; it has {', '.join(map(str, seeds))}.")
    return MODEL.replace(".", f"_seed{seed}.", 1)


def _load_weights(model: Model, file: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(read_plain(file))
    except FileNotFoundError as error:
        raise RunError(f"{file}: no such file; the run saved no model.") from error
    except (OSError, SafetensorError) as error:
        raise RunError(f"{file}: damaged ({_one_line(error)}); run it again.") from error
    wanted = model.state_dict()
    for name in sorted(wanted.keys() ^ state.keys()):
        what = "missing" if name in wanted else "not one of this model"
        raise RunError(f"{file}: weight {name!r} is {what}; {APART}.")
    for name, weight in state.items():
        if weight.dtype != wanted[name].dtype:
            wrong = f"of type {weight.dtype}, not {wanted[name].dtype}"
        elif not np.isfinite(weight.numpy()).all():
            wrong = "not finite"
        else:
            continue
        raise RunError(f"{file}: weight {name!r} is {wrong}; {APART}.")
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # a shape; torch says which and what it should be
        raise RunError(f"{file}: {_one_line(error).rstrip('.')}; {APART}.") from error


def _decode(file: Path, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(read_plain(file), type=kind)
    except FileNotFoundError as error:
        raise RunError(f"{file}: no such file; the folder holds no whole run.") from error
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{file}: damaged ({_one_line(error)}); run it again.") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
