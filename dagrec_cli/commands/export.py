"""``dagrec export``: a saved model as ONNX."""

import sys
from typing import Literal

from omegaconf import DictConfig

from dagrec_cli.config.build import check_settings


def export(config: DictConfig) -> None:
    """Write the file and say how close its scores are."""
    from dagrec_cli.app.output import check_replaces, output_file, write_output
    from dagrec_cli.export.onnx_model import onnx_bytes
    from dagrec_cli.runs.model import deployed_model, named_run

    kinds = {"format": Literal["onnx"], "overwrite": bool}
    check_settings(config, "run", "trust", "output", "seed", **kinds)
    path = output_file(config.output)
    run = named_run(config.run, "export", config.trust)
    check_replaces(path, run.files, asked=config.overwrite)
    (model, note), data = deployed_model(run, config.seed), run.result.data
    sys.stderr.write(note)
    content, difference = onnx_bytes(model, merges=data is None or data.merges)
    write_output(path, lambda file: file.write(content))
    sys.stdout.write(
        f"{path}: {len(content):,} bytes; onnxruntime's scores differ by {difference:.1e} at most\n"
    )
