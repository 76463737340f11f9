"""The presets of configs/experiment hold what the paper says (PAPER §5)."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build, factory
from dagrec_cli.config.where import config_dir
from dagrec_cli.models.base import Model
from dagrec_cli.training.trainer import Trainer

SMALL = {
    "model.embedding_dim": 64,
    "model.hidden": 128,
    "model.num_layers": 2,
    "model.dropout_embed": 0.25,
    "model.dropout_hidden": 0.4,
    "loss._target_": "dagrec_cli.losses.ce.CrossEntropy",
    "sampler._target_": "dagrec_cli.samplers.none.NoSampler",
    "trainer.epochs": 150,
    "trainer.learning_rate": 1e-3,
    "trainer.gradient_clip": 1.0,
}
LARGE = {
    "model.embedding_dim": 128,
    "model.hidden": 256,
    "model.num_layers": 3,
    "model.dropout_embed": 0.3,
    "model.dropout_hidden": 0.5,
    "loss._target_": "dagrec_cli.losses.bpr.BPR",
    "sampler._target_": "dagrec_cli.samplers.popularity.PopularitySampler",
    "sampler.n_sample": 2048,
    "sampler.sample_alpha": 0.75,
}
RANGES = {
    "model.embedding_dim": (32, 256),
    "model.hidden": (64, 512),
    "model.num_layers": (1, 3),
    "model.dropout_embed": (0.1, 0.5),
    "model.dropout_hidden": (0.2, 0.7),
    "trainer.learning_rate": (1e-4, 1e-2),
    "trainer.gradient_clip": (0.5, 5.0),
}


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("train", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize(("preset", "told"), [("small_data", SMALL), ("large_data", LARGE)])
def test_a_preset_is_the_papers(preset: str, told: dict[str, object]) -> None:
    config = composed(f"experiment={preset}")
    assert {key: OmegaConf.select(config, key) for key in told} == told


def test_the_command_line_goes_before_a_preset() -> None:
    config = composed("experiment=large_data", "model.hidden=8", "trainer=full_batch")
    assert config.model.hidden == 8
    assert "FullBatch" in config.trainer._target_


def test_the_search_has_the_papers_ranges() -> None:
    params = composed("experiment=search").hydra.sweeper.params
    words = [f"{key}={text}" for key, text in params.items()]
    parsed = OverridesParser.create().parse_overrides(words)
    sweeps = {override.key_or_group: override.value() for override in parsed}
    assert {key: (sweep.start, sweep.end) for key, sweep in sweeps.items()} == RANGES
    assert isinstance(sweeps["model.hidden"].end, int)


def test_what_tuning_chose_can_be_run() -> None:
    data = ("portal", "galaxy", "iwc", "comfyui", "n8n")
    models = {"last_node": "backoff", "gru4rec_by_hand": "gru4rec"}
    rows = ("gru4rec", "dag_transformer", "backoff", "last_node", "vsknn", "popularity")
    suite = {f"{each}_{row}" for each in data for row in rows}  # what table=suite tune=chosen takes
    tuned = sorted((config_dir() / "experiment" / "tuned").glob("*.yaml"))
    assert {path.stem for path in tuned} == {*suite, "n8n_gru4rec_by_hand"}
    for path in tuned:
        config = composed(f"experiment=tuned/{path.stem}")
        row = path.stem.partition("_")[2]
        assert config.hydra.runtime.choices.model == models.get(row, row)
        assert (config.split.folds, config.split.part) == (3, None)
        build(config.trainer, "trainer", kind=Trainer)
        factory(config.model, "model", Model)  # raises, as does build, if there is no such setting
