"""A trained model, read back from its run folder alone.

The folder may come from a stranger: no pickle is read, no code in it is run (see
:mod:`~dagrec_cli.config.untrusted`), and weights are used only if names, types and shapes are those
that ``config.yaml``, ``vocabulary.json`` and ``graph.json`` ask for.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from math import prod
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from dagrec_cli.config.build import build
from dagrec_cli.config.untrusted import check_whole_numbers, checked_node, trusted_packages
from dagrec_cli.config.where import user_path
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.plain_files import check_own_folder
from dagrec_cli.data.service_graph import ServiceGraph
from dagrec_cli.errors import ConfigError, RunError, plural
from dagrec_cli.models.base import Facts, Model
from dagrec_cli.runs.folder import (
    CONFIG,
    FINAL,
    GRAPH,
    MODEL,
    RESULT,
    VOCABULARY,
    RunFolder,
    read_whole,
)
from dagrec_cli.runs.record import SavedEdge, SavedEdges, read_edges, read_vocabulary, write_record
from dagrec_cli.runs.result import Finished
from dagrec_cli.runs.run import Run

MOST_OF_A_SETTING = 1000  # a whole number among a model's settings, or the largest width saved
SLACK = 3
APART = f"{CONFIG}, {VOCABULARY}, {GRAPH} and {MODEL} are not of one run"


def named_run(path: object, command: str, trust: object = None) -> Run:
    """Return the run that a command is given.

    Parameters
    ----------
    trust
        The packages whose classes it may name, besides this one.

    Raises
    ------
    ConfigError
        If none is.
    RunError
        If the folder holds no run.
    """
    if path in (None, ""):
        given = "null" if path is None else "empty"
        raise ConfigError(
            f"run is {given}; name a run folder: dagrec {command} run=outputs/train/RUN"
        )
    folder = user_path(path)
    inside = sorted(file.parent for file in folder.glob(f"*/{RESULT}"))
    if inside and not (folder / RESULT).exists():
        raise RunError(f"{folder}: it holds runs and is none; name one, such as run={inside[-1]}")
    return replace(Run.load(folder), packages=trusted_packages(trust))


def deployed_model(run: Run, seed: int | None = None) -> tuple[Model, str]:
    """Return the model that recommends, see :func:`load_model`, and a line if it is a final one."""
    result = run.result
    if not isinstance(result, Finished) or not result.has_final:
        return load_model(run, seed), ""
    n_fitted = result.data.train + result.data.validation * result.model.refit
    return load_model(run, seed, is_final=True), (
        f"The model is fitted on all {plural(result.data.pairs, 'step')} (trainer.fit_on=all); the "
        f"figures of {run.path} are of one fitted on {n_fitted:,}.\n"
    )


def load_model(run: Run, seed: int | None = None, *, is_final: bool = False) -> Model:
    """Return a run's model, ready to score.

    Parameters
    ----------
    seed
        Which of the run's seeds; None for the first.
    is_final
        True for the one that was fitted on all steps; False for the one that was evaluated.

    Raises
    ------
    RunError
        If a file is missing, damaged, or does not fit the others, or the config is not safe.
    """
    folder = run.path
    if is_final:
        check_own_folder(folder := folder / FINAL)
    file, weights = run.path / CONFIG, folder / _weights_name(run, seed)
    facts = saved_facts(folder)
    # The weights bound what the config may ask for: no size is believed that they do not show.
    state = _read_weights(weights)
    shapes = [weight.shape for weight in state.values()]
    node = checked_node(run.config, "model", file, run.packages)
    check_whole_numbers(node, "model", file, max(MOST_OF_A_SETTING, *chain([0], *shapes)))
    with _no_larger_than(shapes, file):
        model = _build(node, facts, file)
    _load_weights(model, state, weights)
    model.is_probabilistic = run.is_finished and run.finished.model.is_probabilistic
    if not is_final:
        _check_size(model, run)
    return model.eval()


def _check_size(model: Model, run: Run) -> None:
    n = sum(weight.numel() for weight in model.parameters())
    if run.is_finished and n != (stated := run.finished.model.parameters):
        raise RunError(f"{run.path / RESULT}: the model has {n:,} parameters, not {stated:,}.")


def _read_weights(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(read_whole(file))
    except FileNotFoundError as error:
        raise RunError(f"{file}: no such file; the run saved no model.") from error
    except (SafetensorError, ValueError, OverflowError, KeyError, TypeError) as error:
        raise RunError(f"{file}: damaged, no whole safetensors file; train it again.") from error


@contextmanager
def _no_larger_than(shapes: Sequence[Sequence[int]], file: Path) -> Iterator[None]:
    """Stop a model from being built as soon as it has many more weights than were saved.

    Where it is a few, which one is said afterwards.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook as watch

    left = [SLACK * len(shapes), SLACK * sum(map(prod, shapes))]

    def count(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        if weight is not None:
            left[0] -= 1
            left[1] -= weight.numel()
        if min(left) < 0:
            raise RunError(f"{file}: its model has more weights than {MODEL} holds; {APART}.")

    hook = watch(count)
    try:
        yield
    finally:
        hook.remove()


def saved_facts(folder: Path) -> Facts:
    """Return the vocabulary and the service graph that the model in a folder was made for.

    Raises
    ------
    RunError
        If their files are missing, damaged, or do not fit each other.
    """
    names = read_vocabulary(folder)
    known = names.of_model
    edges = np.array(read_edges(folder, len(names.nodes)).known, np.int64).reshape(-1, 3)
    ends = edges[:, :2].astype(np.int32).T
    graph = ServiceGraph(ends[0], ends[1], edges[:, 2], names.service_class)
    return Facts(known, graph.among(known.service_class))


def write_setup(
    folder: RunFolder, config: DictConfig, dataset: Dataset, graph: ServiceGraph
) -> None:
    """Write what a model's numbers mean, and ``config.yaml`` when all else is there.

    Parameters
    ----------
    graph
        What the model knows of the data's graph, which the split allows.
    """
    write_facts(folder, dataset, graph)
    folder.write_text(CONFIG, OmegaConf.to_yaml(config, resolve=True))


def write_facts(folder: RunFolder, dataset: Dataset, graph: ServiceGraph) -> None:
    """Write names and edges, see :func:`write_setup`."""
    write_record(folder, dataset.vocabulary)
    write_record(folder, SavedEdges(_saved_links(dataset.graph()), _saved_links(graph)))


def _saved_links(graph: ServiceGraph) -> list[SavedEdge]:
    columns = (graph.source.tolist(), graph.target.tolist(), graph.count.tolist())
    return [SavedEdge(*link) for link in zip(*columns, strict=True)]


def write_weights(folder: RunFolder, model: Model, seed: int | None = None) -> None:
    """Write ``model.safetensors``, or ``model_seed<seed>.safetensors``."""
    from safetensors.torch import save

    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    folder.write(_weights_file(seed), lambda file: file.write(save(state)))


def _weights_file(seed: int | None) -> str:
    return MODEL if seed is None else MODEL.replace(".", f"_seed{seed}.", 1)


def _build(node: DictConfig, facts: Facts, file: Path) -> Model:
    try:
        model: Model = build(node, "model", facts, kind=Model)
    except ConfigError as error:
        raise RunError(f"{file}: {error}") from error
    except (TypeError, RuntimeError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{file}: its model cannot be built ({reason}).") from error
    return model


def _weights_name(run: Run, seed: int | None) -> str:
    seeds = run.result.seeds
    if seed is None or seed in seeds[:1]:
        return MODEL
    if seed not in seeds:
        raise RunError(f"{run.path}: no seed {seed}; it has {', '.join(map(str, seeds))}.")
    return _weights_file(seed)


def _load_weights(model: Model, state: Mapping[str, Tensor], file: Path) -> None:
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
    except RuntimeError as error:  # counts, whose tables have taken the sizes that were saved
        shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items()}
        for name, weight in sorted(state.items()):
            if (has := tuple(weight.shape)) != shapes[name]:
                line = f"weight {name!r} has the shape {has}, not {shapes[name]}; {APART}"
                raise RunError(f"{file}: {line}.") from error
        raise RunError(f"{file}: its counts are no table of contexts; train it again.") from error
