"""What the peer recommends, as ``dagrec score`` reads it; its training needs RecBole."""

from pathlib import Path

import numpy as np

from benchmarks.peer_recbole import ranked, write
from dagrec_cli.experiment.score import SCORED_COLUMNS
from dagrec_cli.export.exchange import escape


def test_a_file_has_the_best_first_under_its_own_name(tmp_path: Path) -> None:
    names = [escape(name) for name in ("service_a b", "service_50%", 'service_"c"')]
    lines = ranked("0-7", names, np.array([0.5, 2.0, -1.0], np.float32))
    write(tmp_path / "peer.csv", lines)
    assert (tmp_path / "peer.csv").read_text().splitlines() == [
        ",".join(SCORED_COLUMNS),
        "0-7,1,service_50%,2.0",
        "0-7,2,service_a b,0.5",
        '0-7,3,"service_""c""",-1.0',
    ]
