"""One table over the run folders below a folder."""

import json
from pathlib import Path
from typing import Any

from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.reporting.run_folder import RESULT
from dagrec_cli.reporting.tables import Table


def sweep_table(folder: Path) -> tuple[Table, int]:
    """Return a row per job, in the order of the job numbers, and how many did not finish."""
    rows, n_failed = [], 0
    jobs = [path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()]
    for path in sorted(jobs, key=lambda path: int(path.name)):
        row = _row(path)
        n_failed += row["status"] != "finished"
        rows.append(row)
    columns = ["job", "model", "loss", "seeds", *METRICS, "status"]
    title = f"{len(rows)} jobs, {n_failed} not finished"
    failures = [f"job {row['job']}: {row['error']}" for row in rows if row.get("error")]
    return Table(title, columns, rows, failures), n_failed


def _row(path: Path) -> dict[str, Any]:
    try:
        result = json.loads((path / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = {"status": "missing", "error": f"{RESULT} is missing or unreadable"}
    choices = result.get("choices", {})
    return {
        "job": path.name,
        "model": choices.get("model", "?"),
        "loss": choices.get("loss", "?"),
        "seeds": ",".join(map(str, result.get("seeds", []))),
        **result.get("metrics", {}),
        "status": result["status"],
        "error": result.get("error"),
    }
