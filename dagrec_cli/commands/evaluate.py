"""``dagrec evaluate``: a saved model on its own test again, on other data, or another split."""

import sys

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import overrides_of
from dagrec_cli.config.build import check_settings
from dagrec_cli.errors import ConfigError, short_path


def evaluate(config: DictConfig) -> None:
    """Print the table and write the run folder."""
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.app.output import command_folder, show_tables
    from dagrec_cli.config.metric_names import metrics_of
    from dagrec_cli.experiment.evaluate import Side, evaluate_run
    from dagrec_cli.experiment.result import table_of
    from dagrec_cli.runs.model import named_run
    from dagrec_cli.runs.provenance import Request
    from dagrec_cli.runs.state import EVALUATION
    from dagrec_cli.training.progress import showing

    hydra = HydraConfig.get()
    kinds = {"side": Side, "overwrite": bool, "notes": bool}
    check_settings(config, "data", "split", "run", "trust", "metrics", **kinds)
    folder = command_folder(EVALUATION, asked=config.overwrite)
    metrics = metrics_of(config.metrics)
    run = named_run(config.run, "evaluate", config.trust)
    if folder.path.samefile(run.path):
        raise ConfigError(
            f"hydra.run.dir is the run itself, {run.path}; write elsewhere: hydra.run.dir=FOLDER."
        )
    given = {group: config[group] for group in ("data", "split") if config.get(group)}
    named = {group: hydra.runtime.choices[group] for group in given}
    request = Request({**run.result.choices, **named}, overrides_of(hydra)["task"])
    with folder.locked(), showing("evaluating"):
        done = evaluate_run(run, given, folder, request, side=config.side, metrics=metrics)
    show_tables([table_of(done)], notes=config.notes)
    sys.stdout.write(f"Run folder: {short_path(folder.path)}\n")
