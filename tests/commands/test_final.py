"""Last fits: ``trainer.refit`` of the evaluated model, ``trainer.fit_on=all`` of one beside it."""

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from dagrec_cli.config.compose import composed
from dagrec_cli.data.cache import cached_dataset
from dagrec_cli.experiment.components import Components
from dagrec_cli.jobs.job import without_hydra
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.state import TrainingTask
from hand_made import result_of

Dagrec = Callable[..., Any]

WORDS = ["trainer.epochs=6", "model.hidden=8", "trainer.validation_share=0.2", "split=composition"]
ALL = "trainer.fit_on=all"


def test_a_refit_is_the_training_without_validation_for_the_epochs_that_were_chosen(
    dagrec: Dagrec, tmp_path: Path
) -> None:
    """The same bytes: names, edges and a prior's counts are of all that is fitted, too."""
    words = [*WORDS, "trainer=mini_batch", "trainer.batch_size=32", "trainer.device=cpu"]
    words += ["trainer.learning_rate=0.1", "trainer.patience=2", "model.mask=prior"]
    assert dagrec("train", *words, "hydra.run.dir=run").code == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    (n,), (kept,) = result["model"]["epochs"], result["model"]["best_epoch"]
    assert (result["model"]["refit"], kept < 6) == (True, True)
    rows = [*csv.DictReader((tmp_path / "run/metrics.csv").read_text().splitlines())]
    assert [row["epoch"] for row in rows] == [str(k + 1) for k in range(n + kept)]
    assert [row["refit"] for row in rows] == [""] * n + ["1"] * kept
    assert [bool(row["validation_ndcg"]) for row in rows] == [True] * n + [False] * kept

    alone = [f"trainer.epochs={kept}", "trainer.validation_share=0", "trainer.patience=0"]
    assert dagrec("train", *words, *alone, "hydra.run.dir=alone").code == 0
    for name in ("predictions.csv", "model.safetensors", "vocabulary.json", "graph.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    other = json.loads((tmp_path / "alone/result.json").read_text())
    assert result["data"]["train"] + result["data"]["validation"] == other["data"]["train"]
    for key in ("metrics", "strata", "unseen", "ceilings"):
        assert result[key] == other[key], key
    losses = [
        [row["loss"] for row in csv.DictReader((tmp_path / name).read_text().splitlines())]
        for name in ("run/metrics.csv", "alone/metrics.csv")
    ]
    assert losses[0][n:] == losses[1]


def test_what_is_stopped_while_the_epoch_is_chosen_can_predict(
    dagrec: Dagrec, tmp_path: Path, ctrl_c_in: Callable[..., Any]
) -> None:
    """Its model knows fewer names than the one that would have been fitted on all pairs."""
    with ctrl_c_in(2):
        words = [*WORDS, "data.compositions=12", "hydra.run.dir=run"]
        assert dagrec("train", *words).code == 130
    assert dagrec("predict", "run=run", "context=[table_1]").code == 0


def test_a_model_that_counts_has_no_need_of_validation(dagrec: Dagrec, tmp_path: Path) -> None:
    for share in (0, 0.2):
        words = [
            "model=markov",
            f"trainer.validation_share={share}",
            "trainer.patience=0",
            f"hydra.run.dir={share}",
        ]
        assert dagrec("train", "split=composition", *words).code == 0
    for name in ("predictions.csv", "model.safetensors", "metrics.csv", "vocabulary.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "0.2" / name).read_bytes()


def test_the_final_model_is_fitted_on_all_steps_for_the_epochs_that_were_kept(
    dagrec: Dagrec, tmp_path: Path
) -> None:
    """In the schedule of the epochs that were asked for."""
    words = [*WORDS, "trainer.learning_rate=0.3", "trainer.schedule=cosine"]
    for name, more in (("plain", []), ("run", [ALL])):
        assert dagrec("train", *words, *more, f"hydra.run.dir={name}").code == 0
    plain, run = tmp_path / "plain", tmp_path / "run"
    for name in ("predictions.csv", "model.safetensors", "graph.json"):
        assert (plain / name).read_bytes() == (run / name).read_bytes()
    (kept,) = result_of(run)["model"]["best_epoch"]
    assert kept < 6

    choices = json.loads((run / "request.json").read_text())["choices"]
    parts = Components.of(without_hydra(composed("train", words)), choices)
    dataset = cached_dataset(parts.data)
    every = np.arange(len(dataset.pairs.context))
    dataset = parts.split.known(dataset, every)
    unread = set(dataset.vocabulary.index.values()) - set(dataset.followed.node)
    facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed, sorted(unread))
    ((_, generator, model),) = parts.starts(facts)
    assert isinstance(model, TorchModel)
    pairs = TrainingPairs.of(
        dataset,
        every,
        model.hard_mask,
        distinct=True,
        repeat_alpha=parts.trainer.repeat_alpha,
        units=parts.split.units(dataset),
    )
    task = TrainingTask(model, parts.loss, parts.sampler, pairs, generator, epochs=kept)
    parts.trainer.fit(task)
    found = load_file(run / "final/model.safetensors")
    assert found.keys() == model.state_dict().keys()
    for key, weight in model.state_dict().items():
        assert torch.equal(found[key], weight), key


def test_predict_and_export_use_it_and_evaluate_does_not(dagrec: Dagrec, tmp_path: Path) -> None:
    """A model that counts, whose last composition alone has the step from 1 to 3."""
    walks = [["t1", "1", "2"], ["t1", "2", "1"], ["t1", "1", "3"]]
    lines = []
    for day, walk in enumerate(walks):
        nodes = [{"id": n, **({} if n == "t1" else {"mid": int(n)})} for n in walk]
        links = [{"source": a, "target": b} for a, b in pairwise(walk)]
        lines.append(json.dumps({"nodes": nodes, "links": links, "start_time": day}))
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    words = ["data=compositions", "data.path=own.jsonl", "split=temporal", "model=markov"]
    words += ["model.mask=hard", "split.graph=train", ALL, "hydra.run.dir=run"]
    answer = dagrec("train", *words)
    assert "Run folder: run\nFinal model, fitted on all 6 steps: run/final\n" in answer.out
    answer = dagrec("predict", "run=run", "context=[t1,1]", "top_k=3")
    assert answer.err == (
        "The model is fitted on all 6 steps (trainer.fit_on=all); the figures of run are of one "
        "fitted on 4.\n"
    )
    found = json.loads(answer.out)
    seen = {each["service"]: each["seen"] for each in found["services"]}
    assert seen == {"service_2": 1, "service_3": 1, "service_1": 0}
    assert dagrec("export", "run=run", "format=onnx", "output=x").err.startswith("The model is fi")
    answer = dagrec("evaluate", "run=run", "hydra.run.dir=again")
    assert (answer.code, answer.err) == (0, "")
    once, again = ((tmp_path / name / "predictions.csv").read_text() for name in ("run", "again"))
    assert once == again
    (tmp_path / "run/final").rename(tmp_path / "elsewhere")
    (tmp_path / "run/final").symlink_to(tmp_path / "elsewhere")
    assert dagrec("predict", "run=run", "context=[t1,1]").err == (
        "dagrec predict: run/final: a symlink, where a run folder has a folder; it is not used, "
        "remove it.\n"
    )


def test_validation_and_later_folds_fit_no_final_model(dagrec: Dagrec, tmp_path: Path) -> None:
    words = ["model=popularity", "trainer.validation_share=0.2", ALL]
    fold = ["split.folds=2", "split.part=1"]
    for name, more in (("validation", ["evaluate_on=validation"]), ("fold", fold)):
        dagrec("train", *words, *more, f"hydra.run.dir={name}")
        assert (tmp_path / name / "model.safetensors").exists()
        assert not (tmp_path / name / "final").exists()
    assert dagrec("predict", "run=fold", "context=[table_1]").err == ""
