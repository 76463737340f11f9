"""``dagrec score``: the predictions of any other tool, in a run folder like our own."""

import sys

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.app.hydra_main import overrides_of, own_folders, run_with_hydra
from dagrec_cli.config.build import check_settings
from dagrec_cli.config.kinds import Seed
from dagrec_cli.config.where import user_path
from dagrec_cli.config.words import is_path, quoted
from dagrec_cli.errors import ConfigError, short_path


def main() -> None:
    """Turn a plain first argument into the ``input`` setting, compose the config and run."""
    first = "".join(sys.argv[1:2])
    if first and not first.startswith("-") and is_path(first):
        sys.argv[1] = f"input={quoted(first)}"
    run_with_hydra("score", score)


def score(config: DictConfig) -> None:
    """Print the table and write the run folder."""
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.app.output import command_folder, show_tables
    from dagrec_cli.config.compose import composed
    from dagrec_cli.config.metric_names import metrics_of, of_lists
    from dagrec_cli.experiment.result import table_of
    from dagrec_cli.experiment.score import score_file
    from dagrec_cli.runs.provenance import Request
    from dagrec_cli.runs.state import SCORE
    from dagrec_cli.training.progress import showing

    hydra = HydraConfig.get()
    kinds = {"seed": Seed, "overwrite": bool, "notes": bool}
    named = dict.fromkeys(("input", "name"), str | None)
    check_settings(config, "data", "split", "metrics", **named, **kinds)
    folder = command_folder(SCORE, asked=config.overwrite)
    metrics = metrics_of(config.metrics)
    if lists := of_lists(metrics):
        raise ConfigError(
            f"metrics: {lists[0]} is of what a model recommends after each context, which a file "
            "of test steps does not hold; leave it out."
        )
    if config.input is None:
        raise ConfigError("no predictions given; write dagrec score FILE.")
    path = user_path(config.input)
    name = config.name or path.stem
    whole = composed("train", [], own_folders(hydra))  # what a run has that trains nothing
    given = {group: config[group] for group in ("data", "split", "seed")}
    given["model"] = {"name": name, "mask": "none"}
    settings = {k: v for k, v in whole.items() if k != "hydra"} | given
    choices = {group: hydra.runtime.choices[group] for group in ("data", "split")}
    request = Request({**choices, "model": name}, overrides_of(hydra)["task"])
    with folder.locked(), showing("evaluating"):
        run = score_file(path, OmegaConf.create(settings), folder, request, metrics)
    show_tables([table_of(run)], notes=config.notes)
    sys.stdout.write(f"Run folder: {short_path(folder.path)}\n")
