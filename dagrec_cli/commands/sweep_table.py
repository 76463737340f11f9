"""One table over all jobs of a multirun, made from their run folders."""

import sys
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class SweepTable(Callback):
    """Hydra callback: after the last job, collect the jobs' results and print them."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write ``sweep.csv``, ``.md`` and ``.json``; exit 1 if a job did not finish."""
        from rich.console import Console

        from dagrec_cli.reporting.run_folder import RunFolder
        from dagrec_cli.reporting.sweep import sweep_table

        folder = RunFolder(Path(config.hydra.sweep.dir))
        table, n_failed = sweep_table(folder.path)
        table.save(folder)
        console = Console()
        console.print(table.to_rich(console.width))
        sys.stdout.write(f"Sweep folder: {folder.path}\n")
        if n_failed:
            sys.exit(1)
