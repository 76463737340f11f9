"""One table over the run folders of a multirun."""

import json
from pathlib import Path
from typing import Any

from dagrec_cli.evaluation.metrics import METRICS
from dagrec_cli.reporting.run_folder import RESULT
from dagrec_cli.reporting.tables import Table

UNREADABLE = {"status": "missing", "error": f"{RESULT} is missing or damaged"}


def sweep_table(folder: Path) -> tuple[Table, int]:
    """Return a row per job below a folder, and how many jobs did not finish."""
    jobs = sorted((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    results = {path.name: _result(path) for path in jobs}
    given = [set(result.get("overrides", [])) for result in results.values()]
    common = set.intersection(*given) if len(given) > 1 else set()
    rows = [
        {
            "job": job,
            "overrides": " ".join(o for o in result.get("overrides", []) if o not in common),
            **result.get("metrics", {}),
            "status": result["status"],
        }
        for job, result in results.items()
    ]
    failed = {job: r for job, r in results.items() if r["status"] != "finished"}
    title = f"{len(rows)} jobs, {len(failed)} not finished"
    notes = [
        f"job {job}: {result.get('error', result['status'])}" for job, result in failed.items()
    ]
    return Table(title, ["job", "overrides", *METRICS, "status"], rows, notes, "sweep"), len(failed)


def _result(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads((path / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return UNREADABLE
    return result
