"""``dagrec train``: the run folder can be trusted."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_file

from dagrec_cli.config.build import build
from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec
from dagrec_cli.runs.provenance import git_commit
from dagrec_cli.training.split_data import SplitData
from hand_made import paths_of

SHORT = ("trainer.epochs=2",)

Dagrec = Callable[..., Any]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def are_equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], two[key]) for key in one | two)


@pytest.fixture(scope="session")
def data(config: Callable[[str, str], DictConfig]) -> SplitData:
    """The synthetic data on the paper's split, as ``dagrec train`` has it."""
    dataset: Dataset = build_dataset(build(config("data", "synthetic"), "data"))
    return SplitData.of(dataset, build(config("split", "paper"), "split"))


def test_no_model_is_built_to_be_thrown_away(dagrec: Dagrec) -> None:
    with patch.object(GRU4Rec, "__init__", autospec=True, side_effect=GRU4Rec.__init__) as built:
        assert dagrec("train", *SHORT, "seeds=[0,1]").code == 0
    assert built.call_count == 4  # of each seed, one to choose the epoch and one to keep


def test_the_folder_holds_every_promised_file(trained: Any) -> None:
    assert trained.code == 0
    names = {path.name for path in trained.run.iterdir()}
    assert names >= {
        "config.yaml",
        "result.json",
        "metrics.csv",
        "model.safetensors",
        "model_seed1.safetensors",
        "vocabulary.json",
        "predictions.csv",
        "contexts.csv",
        "learning_curve.png",
        "table.csv",
        "table.md",
        "table.json",
    }
    assert not [name for name in names if name.endswith(".tmp")]
    assert (trained.run / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert trained.out.endswith(f"Run folder: {trained.run.relative_to(trained.folder)}\n")
    assert trained.err == ""


def test_result_holds_every_promised_key(trained: Any) -> None:
    result = trained.result()
    assert result["status"] == "finished"
    assert result["seeds"] == [0, 1]
    assert result["command_line"] == "dagrec train trainer.epochs=2 'seeds=[0,1]'"
    assert result["choices"]["model"] == "gru4rec"
    assert len(result["data"]["sha256"]) == 64
    sides = [result["data"][side] for side in ("train", "validation", "test")]
    assert sides == [639, 72, 305]
    assert {"python", "torch", "numpy"} <= set(result["versions"])
    assert str(result["git_commit"]).rstrip("+") == str(git_commit()).rstrip("+")
    assert result["model"]["epochs"] == [2, 2]
    assert result["model"]["parameters"] == sum(w.numel() for w in weights_of(trained.run).values())
    seconds = result["seconds"]
    assert min(seconds.values()) > 0
    assert seconds["total"] >= seconds["data"] + seconds["train"] + seconds["evaluate"]


def test_metrics_have_mean_deviation_and_an_interval_around_it(trained: Any) -> None:
    metrics = trained.result()["metrics"]
    assert list(metrics) == list(METRICS)
    one, other = trained.result()["per_seed"].values()
    for name, summary in metrics.items():
        assert 0 <= summary["low"] <= summary["mean"] <= summary["high"] <= 1, name
        assert summary["mean"] == pytest.approx((one[name] + other[name]) / 2), name
        assert summary["std"] == pytest.approx(abs(one[name] - other[name]) / 2**0.5), name


def test_config_is_the_composed_config(trained: Any, dagrec: Dagrec) -> None:
    composed = dagrec("train", "--cfg", "job", *SHORT, "seeds=[0,1]").out
    assert OmegaConf.load(trained.run / "config.yaml") == OmegaConf.create(composed)


def test_metrics_csv_has_a_row_per_seed_and_epoch(trained: Any) -> None:
    rows = rows_of(trained.run / "metrics.csv")
    assert list(rows[0])[:4] == ["seed", "epoch", "loss", "seconds"]
    rows = [row for row in rows if not row["refit"]]
    assert [(row["seed"], row["epoch"]) for row in rows] == [(s, e) for s in "01" for e in "12"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])


def test_accuracy_and_ranks_can_be_counted_from_predictions(trained: Any) -> None:
    rows = rows_of(trained.run / "predictions.csv")
    assert len(rows) == 2 * 305
    is_right = [row["predicted"] == row["target"] for row in rows]
    metrics = trained.result()["metrics"]
    assert np.mean(is_right) == pytest.approx(metrics["accuracy"]["mean"], abs=1e-12)
    ranks = np.array([float(row["rank"]) for row in rows])
    assert np.mean(ranks <= 5) == pytest.approx(metrics["hr@5"]["mean"], abs=1e-12)
    assert all(0 < float(row["probability"]) <= float(row["confidence"]) <= 1 for row in rows)
    hits = [row for row in rows if row["predicted"] == row["target"]]
    assert hits
    assert all(row["probability"] == row["confidence"] for row in hits)


def test_equal_compositions_are_one_group_in_predictions(trained: Any, data: SplitData) -> None:
    rows = rows_of(trained.run / "predictions.csv")
    dataset = data.dataset
    links: dict[int, list[tuple[int, int]]] = {}
    for source, target, composition in zip(*dataset.links, strict=True):
        links.setdefault(int(composition), []).append((int(source), int(target)))
    first: dict[tuple[tuple[int, int], ...], int] = {}
    for composition, pairs in sorted(links.items()):
        first.setdefault(tuple(sorted(pairs)), composition)
    for row in rows:
        assert int(row["group"]) == first[tuple(sorted(links[int(row["composition"])]))]
    assert len({row["group"] for row in rows}) < len({row["composition"] for row in rows})


@pytest.mark.parametrize("seed", [0, 1])
def test_the_folder_is_enough_to_score_again(trained: Any, data: SplitData, seed: int) -> None:
    """Built by hand from config and weights, the model gives the written predictions."""
    name = "model.safetensors" if seed == 0 else "model_seed1.safetensors"
    vocabulary = json.loads((trained.run / "vocabulary.json").read_text())
    node = OmegaConf.load(trained.run / "config.yaml").model
    model = build(node, "model", data.facts)
    model.load_state_dict(load_file(trained.run / name))
    rows = [r for r in rows_of(trained.run / "predictions.csv") if r["seed"] == str(seed)]
    pairs = data.dataset.pairs.take(np.array([int(row["pair"]) for row in rows]))
    contexts = Contexts(data.dataset.contexts, pairs.context)
    with torch.no_grad():
        chance = model.hard_mask(model.eval()(contexts), contexts.last).softmax(1)
    services = vocabulary["services"]
    assert [services[k] for k in chance.argmax(1)] == [row["predicted"] for row in rows]
    target = torch.tensor([services.index(row["target"]) for row in rows])
    written = [float(row["probability"]) for row in rows]
    assert chance.gather(1, target[:, None]).squeeze(1).tolist() == pytest.approx(written, rel=1e-4)
    assert pairs.context.tolist() == [int(row["context"]) for row in rows]
    last = {row["context"]: row["node"] for row in rows_of(trained.run / "contexts.csv")}
    nodes = [vocabulary["nodes"][k - 1] for k in contexts.last.tolist()]
    assert nodes == [last[row["context"]] for row in rows]


def test_same_seed_same_bytes_and_another_seed_other_weights(
    trained: Any, dagrec: Dagrec, tmp_path: Path
) -> None:
    assert dagrec("train", *SHORT, "seeds=[0,1]").code == 0
    assert dagrec("train", *SHORT, "seed=1", "hydra.run.dir=other").code == 0
    again = next((tmp_path / "outputs/train").iterdir())
    for name in ("predictions.csv", "learning_curve.png", "model_seed1.safetensors"):
        assert (again / name).read_bytes() == (trained.run / name).read_bytes()
    assert not are_equal(weights_of(again), weights_of(tmp_path / "other"))
    assert are_equal(
        load_file(again / "model_seed1.safetensors"), weights_of(tmp_path / "other")
    )  # a seed does the same alone and after others


def test_the_table_has_a_ceiling_on_synthetic_data(trained: Any) -> None:
    model, ceiling = rows_of(trained.run / "table.csv")
    assert (model["model"], ceiling["model"]) == ("gru4rec", "ceiling of the law")
    law = trained.result()["ceilings"]["law"]["accuracy"]["mean"]
    assert float(ceiling["accuracy"]) == law == pytest.approx(0.738, abs=5e-4)  # synthetic.yaml
    assert (ceiling["f1"], ceiling["precision"], ceiling["recall"]) == ("", "", "")  # no bound
    assert "ceiling" in trained.out
    assert "| gru4rec |" in (trained.run / "table.md").read_text()


def test_one_seed_has_no_deviation_and_counting_no_weights(dagrec: Dagrec) -> None:
    answer = dagrec("train", "model=popularity")
    result = answer.result()
    assert result["metrics"]["accuracy"]["std"] is None
    assert result["model"]["parameters"] == 0
    assert result["metrics"]["accuracy"]["mean"] == pytest.approx(0.338, abs=5e-4)  # synthetic.yaml
    assert not (answer.run / "learning_curve.png").exists()
    assert "confidence" not in rows_of(answer.run / "predictions.csv")[0]  # a share of counts


@pytest.mark.parametrize(
    ("words", "sampler", "n_sample"),
    [
        (["loss=bpr"], "popularity", 512),
        (["loss=bpr", "sampler=uniform", "sampler.n_sample=8"], "uniform", 8),
        (["sampler=uniform", "loss=bpr", "sampler.n_sample=8"], "uniform", 8),
        (["loss=ce"], "none", None),
    ],
)
def test_a_loss_brings_its_sampler_unless_one_is_named(
    dagrec: Dagrec, words: list[str], sampler: str, n_sample: int | None
) -> None:
    config = OmegaConf.create(dagrec("train", "--cfg", "job", *words).out)
    assert config.sampler._target_.startswith(f"dagrec_cli.samplers.{sampler}.")
    assert config.sampler.get("n_sample") == n_sample


def test_the_published_experiment_brings_its_training(dagrec: Dagrec) -> None:
    config = OmegaConf.create(dagrec("train", "--cfg", "job", "experiment=gru4rec_paper").out)
    assert (config.trainer.epochs, config.trainer.distinct_contexts) == (150, False)
    config = OmegaConf.create(
        dagrec("train", "--cfg", "job", "experiment=gru4rec_paper", "trainer.epochs=3").out
    )
    assert config.trainer.epochs == 3


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        (["model=gru4rec_paper"], True),
        (["model=gru4rec_paper", "trainer=full_batch"], False),
        (["experiment=gru4rec_paper"], False),
        (["model=gru4rec"], False),
    ],
)
def test_a_published_model_tells_how_the_paper_trained_it(
    dagrec: Dagrec, words: list[str], is_told: bool
) -> None:
    answer = dagrec("train", *words, "trainer.epochs=1")
    assert (answer.code, answer.err) == (0, "")
    hint = "The paper's trainer: experiment=gru4rec_paper\n"
    assert answer.out.endswith(hint) == is_told
    assert answer.out.count("The paper's trainer") == is_told


@pytest.mark.parametrize("is_masked", [True, False])
def test_bpr_trains_unmasked_and_is_masked_at_evaluation(
    dagrec: Dagrec, data: SplitData, is_masked: bool
) -> None:
    words = ["trainer.epochs=1", "model.mask=hard" if is_masked else "model.mask=none"]
    answer = dagrec("train", "loss=bpr", *words)
    assert not answer.result()["model"]["is_probabilistic"]
    vocabulary = data.dataset.vocabulary
    graph = data.facts.graph
    seen = {
        (vocabulary.nodes[a - 1], vocabulary.nodes[b - 1])
        for a, b in zip(graph.source, graph.target, strict=True)
    }
    steps = [
        (paths_of(answer.run)[r["context"]][-1], r["predicted"])
        for r in rows_of(answer.run / "predictions.csv")
    ]
    assert all(step in seen for step in steps) == is_masked
    assert answer.result()["choices"]["loss"] == "bpr"


def test_early_stopping_adds_columns_and_keeps_the_best_epoch(dagrec: Dagrec) -> None:
    words = ["trainer=full_batch", "trainer.validation_share=0.2", "trainer.patience=2"]
    words += ["trainer.learning_rate=0.05"]
    words += ["trainer.monitor=mrr@2", "metrics=[hit@2]", "trainer.refit=false"]
    answer = dagrec("train", *words, "trainer.epochs=30")
    rows = rows_of(answer.run / "metrics.csv")
    assert list(rows[0])[4:] == [f"validation_{name}" for name in (*METRICS, "mrr@2", "hit@2")]
    scores = [float(row["validation_mrr@2"]) for row in rows]
    best = 1 + scores.index(max(scores))
    model, data = answer.result()["model"], answer.result()["data"]
    assert model["best_epoch"] == [best]
    assert len(rows) == best + 2 < 30
    assert (data["train"], data["validation"]) == (568, 143)  # of 711


def test_a_training_that_was_too_short_says_what_to_raise(dagrec: Dagrec) -> None:
    words = ["trainer=full_batch", "trainer.epochs=20", "trainer.learning_rate=0.02"]
    words += ["model.hidden=8", "model.embedding_dim=8", "model.mask=none"]
    assert dagrec("train", *words).err == (
        "seed 0: the loss still fell when training ended; raise trainer.epochs (now 20) or "
        "trainer.learning_rate.\n"
    )
    trial = ["trainer.validation_share=0.2", "evaluate_on=validation"]  # may be short on purpose
    answer = dagrec("train", *words, *trial)
    assert (answer.code, answer.err) == (0, "")


@contextmanager
def stumble(happen: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Let something happen at the third training step."""
    plain, calls = CrossEntropy.__call__, count(1)

    def third(loss: CrossEntropy, scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        value = plain(loss, scores, target)
        return happen(value) if next(calls) == 3 else value

    with patch.object(CrossEntropy, "__call__", third):
        yield


def interrupt(loss: torch.Tensor) -> torch.Tensor:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("happen", "status", "code", "line", "kept"),
    [
        (interrupt, "interrupted", 130, "dagrec train: interrupted", 2),
        (lambda loss: loss * torch.nan, "failed", 1, "dagrec train: epoch 3: the loss is nan", 1),
    ],
)
def test_a_run_that_stops_keeps_its_last_good_weights(
    dagrec: Dagrec, tmp_path: Path, happen: Any, status: str, code: int, line: str, kept: int
) -> None:
    with stumble(happen):
        answer = dagrec("train", "trainer=full_batch", "trainer.epochs=9")
    assert answer.code == code
    assert answer.err.startswith(line)
    assert answer.err.count("\n") == 1
    result = answer.result()
    assert (result["status"], result["stopped_at_seed"]) == (status, 0)
    assert len(result["data"]["sha256"]) == 64
    assert len(rows_of(answer.run / "metrics.csv")) == 2
    dagrec("train", "trainer=full_batch", f"trainer.epochs={kept}", "hydra.run.dir=whole")
    assert are_equal(weights_of(answer.run), weights_of(tmp_path / "whole"))


def test_a_defect_of_the_program_is_written_down(dagrec: Dagrec, tmp_path: Path) -> None:
    def fail(loss: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("no pairs")

    with (
        stumble(fail),
        pytest.raises(ZeroDivisionError, match="no pairs"),
    ):
        dagrec("train", "trainer.epochs=9", "hydra.run.dir=run")
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["status"], result["error"]) == ("failed", "ZeroDivisionError: no pairs")


@pytest.mark.slow
def test_gru4rec_learns_what_order_tells(dagrec: Dagrec) -> None:
    """Order matters in the synthetic data; a model that reads it comes close to the law."""
    answer = dagrec("train", "seeds=[0,1,2]", "hydra.run.dir=outputs/train/gru")
    counting = dagrec("train", "model=popularity", "hydra.run.dir=counts")
    popularity = json.loads((counting.folder / "counts/result.json").read_text())["metrics"]
    result = answer.result()
    accuracy = result["metrics"]["accuracy"]["mean"]
    assert accuracy > popularity["accuracy"]["mean"]
    assert accuracy > result["ceilings"]["last_node"]["accuracy"]["mean"]
    assert accuracy > result["ceilings"]["law"]["accuracy"]["mean"] - 0.03
