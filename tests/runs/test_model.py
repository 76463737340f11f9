"""A model comes back from its folder with its scores, or a line says why it does not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file, save_file

from dagrec_cli.config.build import build
from dagrec_cli.config.where import agreed, config_dir
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.evaluation.evaluator import score_contexts
from dagrec_cli.models.base import CountingModel, Facts, Model
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.model import load_model, named_run, write_setup, write_weights
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.record import write_record
from dagrec_cli.runs.result import Failed
from dagrec_cli.runs.run import Run

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))
TRAIN_ROWS = np.arange(12)  # of the tiny data's pairs, so the model's graph is not the whole one

Config = Callable[..., DictConfig]
Tamper = Callable[[Path], None]


def save_run(folder: Path, dataset: Dataset, node: DictConfig) -> Model:
    """Leave the run folder of an untrained (or counted) model, and return the model."""
    torch.manual_seed(3)
    graph = dataset.graph(TRAIN_ROWS)
    model: Model = build(node, "model", Facts(dataset.vocabulary, graph, dataset.followed))
    if isinstance(model, CountingModel):
        pairs = dataset.pairs.distinct()
        entries, row = np.unique(pairs.context, return_inverse=True)
        contexts = Contexts(dataset.contexts, entries)
        model.count(pairs._replace(context=row.astype(np.int32)), contexts)
    run = RunFolder(folder)
    write_setup(run, OmegaConf.create({"model": node}), dataset, graph)
    write_weights(run, model)
    write_record(run, stopped_run(0))
    return model


def stopped_run(*seeds: int) -> Failed:
    """Return a result with no more in it than what its model needs."""
    asked = msgspec.structs.asdict(origin("train", Request({}, [])))
    return Failed(**asked, error="no disk", seeds=seeds)


def load(folder: Path, seed: int | None = None) -> Model:
    return load_model(Run.load(folder), seed)


@pytest.mark.parametrize("option", MODELS)
def test_scores_come_back(tmp_path: Path, tiny: Dataset, config: Config, option: str) -> None:
    model = save_run(tmp_path, tiny, config("model", option))
    entries = np.arange(len(tiny.contexts), dtype=np.int32)
    contexts = Contexts(tiny.contexts, entries)
    expected = score_contexts(model, contexts).masked
    assert np.array_equal(score_contexts(load(tmp_path), contexts).masked, expected)


@pytest.mark.parametrize(
    ("option", "later"), [("sasrec", {"owner", "block"}), ("markov", {"owner"})]
)
def test_settings_that_came_later_have_the_value_of_ours(
    tmp_path: Path, tiny: Dataset, config: Config, option: str, later: set[str]
) -> None:
    whole = config("model", option)
    node = OmegaConf.masked_copy(whole, [key for key in whole if key not in agreed("model")])
    assert whole.keys() - node.keys() >= later
    model = save_run(tmp_path, tiny, node)
    contexts = Contexts(tiny.contexts, np.arange(len(tiny.contexts), dtype=np.int32))
    assert torch.equal(load(tmp_path)(contexts), model.eval()(contexts))
    rest = OmegaConf.masked_copy(whole, [key for key in whole if key != "mask"])
    with pytest.raises(ConfigError, match=r"model\.mask is missing"):  # ours have several
        build(rest, "model", model.facts)


def test_a_model_of_another_seed_is_another_file(
    tmp_path: Path, tiny: Dataset, config: Config
) -> None:
    model = save_run(tmp_path, tiny, config("model", "gru4rec"))
    write_record(RunFolder(tmp_path), stopped_run(4, 7))
    with torch.no_grad():
        model.head.bias += 1
    write_weights(RunFolder(tmp_path), model, 7)
    bias = [load(tmp_path, seed).head.bias.detach() for seed in (None, 4, 7)]
    assert torch.equal(bias[0], bias[1])
    assert torch.equal(bias[2], bias[0] + 1)
    with pytest.raises(RunError, match="no seed 5; it has 4, 7"):
        load(tmp_path, 5)


def edit_json(name: str, **content: Any) -> Tamper:
    def tamper(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | content))

    return tamper


def edit_model(**settings: Any) -> Tamper:
    def tamper(folder: Path) -> None:
        config = OmegaConf.load(folder / "config.yaml")
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.merge(config, settings)))

    return tamper


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Tamper:
    def tamper(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, folder / "model.safetensors")

    return tamper


def cut(name: str) -> Tamper:
    def tamper(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:-9])

    return tamper


def without(name: str) -> Tamper:
    return lambda folder: (folder / name).unlink()


def overwrite(name: str, text: str) -> Tamper:
    def tamper(folder: Path) -> None:
        (folder / name).write_text(text)

    return tamper


def with_a_node_more(folder: Path) -> None:
    names = json.loads((folder / "vocabulary.json").read_text())
    edit_json(
        "vocabulary.json",
        nodes=[*names["nodes"], "table_z"],
        is_service=[*names["is_service"], False],
    )(folder)


HOME = "${oc.env:HOME}"
TAMPERED: dict[str, tuple[Tamper, str]] = {
    "code of others": (
        edit_model(model={"_target_": "os.system"}),
        "model._target_ is 'os.system': code of os would run; if you trust it, add trust=os",
    ),
    "code of ours that is no model": (
        edit_model(model={"_target_": "dagrec_cli.runs.folder.RunFolder"}),
        "may only name classes that an option of configs/model names",
    ),
    "a class that is no model": (
        edit_model(model={"_target_": "dagrec_cli.models.context_batch.Contexts"}),
        "a run folder may only name classes that an option of configs/model names",
    ),
    "environment": (edit_model(model={"hidden": HOME}), "must not look anything up"),
    "absolute path": (edit_model(model={"hidden": "/etc/passwd"}), "below the working folder"),
    "path upwards": (edit_model(model={"hidden": "a/../../b"}), "below the working folder"),
    "unknown setting": (edit_model(model={"hiden": 3}), "did you mean model.hidden"),
    "wrong setting": (edit_model(model={"hidden": -1}), "model.hidden is -1"),
    "other sizes": (edit_model(model={"hidden": 64}), "has the shape (384,), not (192,)"),
    "no config": (without("config.yaml"), "config.yaml: missing or damaged"),
    "no YAML": (overwrite("config.yaml", "model: [1\nb: {"), "config.yaml: missing or damaged"),
    "no model in the config": (overwrite("config.yaml", "data: 1"), "no model in it"),
    "no weights": (without("model.safetensors"), "no such file"),
    "cut weights": (cut("model.safetensors"), "model.safetensors: damaged"),
    "a pickle": (
        lambda folder: torch.save({"a": 1}, folder / "model.safetensors"),
        "model.safetensors: damaged",
    ),
    "weight missing": (edit_weights(lambda s: s.pop("head.bias")), "'head.bias' is missing"),
    "weight too many": (
        edit_weights(lambda s: s.update(more=torch.zeros(1))),
        "'more' is not one of this model",
    ),
    "weight of another type": (
        edit_weights(lambda s: s.update({"head.bias": s["head.bias"].double()})),
        "'head.bias' is of type torch.float64, not torch.float32",
    ),
    "weight not a number": (
        edit_weights(lambda s: s["head.bias"].fill_(torch.nan)),
        "'head.bias' is not finite",
    ),
    "a node more": (with_a_node_more, "'embedding.weight' has the shape (10, 64), not (11, 64)"),
    "a service that is no node": (
        edit_json("vocabulary.json", services=["service_99"]),
        "its catalogue must be services among them",
    ),
    "a name that is none": (
        edit_json("vocabulary.json", services=[7]),
        "vocabulary.json: damaged (Expected `str`, got `int`",
    ),
    "cut vocabulary": (cut("vocabulary.json"), "vocabulary.json: damaged"),
    "cut graph": (cut("graph.json"), "graph.json: damaged"),
    "no graph": (without("graph.json"), "graph.json: no such file"),
    "edge of no node": (
        edit_json("graph.json", known=[[0, 1, 1]]),
        "`int` >= 1 - at `$.known[0][0]`",
    ),
    "edge beyond the nodes": (edit_json("graph.json", known=[[1, 99, 1]]), "an edge is none"),
    "a later version": (edit_json("result.json", format=3), "format 3, but this version reads 2"),
    "the first edition": (edit_json("result.json", format=1), "made by dagrec 0.1.0; this version"),
    "no version": (overwrite("result.json", "{}"), "no format in it"),
    "no seeds": (edit_json("result.json", seeds="../x"), "`array`, got `str` - at `$.seeds`"),
    "deep result": (overwrite("result.json", "[" * 99_999), "result.json: damaged"),
    "deep graph": (overwrite("graph.json", "[" * 99_999), "graph.json: damaged"),
    "cut result": (cut("result.json"), "result.json: damaged"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, tiny: Dataset, config: Config, case: str
) -> None:
    save_run(tmp_path, tiny, config("model", "gru4rec"))
    tamper, expected = TAMPERED[case]
    tamper(tmp_path)
    with pytest.raises(RunError) as caught:
        load(tmp_path)
    assert re.search(re.escape(expected), str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.update({"table.counts": s["table.counts"][1:].clone()}),
        lambda s: s.update({"table.cells": s["table.cells"].flip(0).clone()}),
        lambda s: s["table.cells"].add_(10**6),
        lambda s: s["table.counts"].fill_(1e38),  # finite, but not their sum
        lambda s: s.update({"table.hashes": s["table.hashes"][None].clone()}),
    ],
)
def test_counts_that_are_no_table_are_refused(
    tmp_path: Path, tiny: Dataset, config: Config, change: Callable[[Any], object]
) -> None:
    save_run(tmp_path, tiny, config("model", "backoff"))
    edit_weights(change)(tmp_path)
    with pytest.raises(RunError, match=r"its counts are no table of contexts; train it again\.$"):
        load(tmp_path)


def test_a_folder_of_runs_is_told_from_a_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_record(RunFolder(tmp_path / name), stopped_run(0))
    with pytest.raises(RunError, match=r"it holds runs and is none; name one, such as run=.*b$"):
        named_run(str(tmp_path), "predict")
    assert named_run(str(tmp_path / "a"), "predict").reason == "no disk"
