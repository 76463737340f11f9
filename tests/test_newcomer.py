"""Newcomers: one has a clone, one the wheel alone; neither has data, variables, or read any code.

Both type what README and the guide say, into a shell without variables, and look at what it says.
Each installs everything anew, torch included, so they take minutes.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PIP = ("PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL")  # what this machine needs, if it needs any
SHELL = ["bash", "-euo", "pipefail", "-c"]

Shell = Callable[..., str]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The variables of a new account: a home of its own, where programs lie, how pip is reached."""
    (tmp_path / "home").mkdir()
    path = f"{sys.base_prefix}/bin:/usr/local/bin:/usr/bin:/bin"
    kept = {name: os.environ[name] for name in PIP if name in os.environ}
    return {"HOME": str(tmp_path / "home"), "PATH": path, **kept}


@pytest.fixture
def shell(bare: dict[str, str]) -> Shell:
    """A function of a folder and what is typed there: what it says, if nothing goes wrong."""

    def typed(folder: Path, text: str) -> str:
        done = subprocess.run([*SHELL, text], cwd=folder, env=bare, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    return typed


def composition(*services: str) -> dict[str, Any]:
    """Return a table and services, each called with what the one before it gives."""
    calls = [{"id": k, "mid": name} for k, name in enumerate(services, start=1)]
    links = [{"source": k, "target": k + 1} for k in range(len(services))]
    return {"nodes": [{"id": 0, "table": "map"}, *calls], "links": links}


def first_table(said: str) -> dict[str, list[str]]:
    """Return the cells of each row of the first table on the terminal."""
    rows = [line.split("│")[1:-1] for line in said.partition("└")[0].splitlines() if "│" in line]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def accuracy(said: str, row: str) -> float:
    """Return the accuracy of a row of the first table."""
    return float(first_table(said)[row][1].split()[0])


def test_from_a_clone_to_a_server(tmp_path: Path, shell: Shell, bare: dict[str, str]) -> None:
    shell(tmp_path, f"git clone --quiet {ROOT} dagrec")
    clone = tmp_path / "dagrec"

    # the first command: an environment, and a model of the built-in data
    said = shell(clone, "make train")
    run = clone / re.findall(r"^Run folder: (outputs/train/\S+)$", said, re.M)[-1]
    assert {"config.yaml", "model.safetensors", "result.json", "table.md"} <= {*os.listdir(run)}
    assert 0.7 < float(first_table(said)["accuracy"][0].split()[0]) < 1

    def dagrec(words: str) -> str:
        return shell(clone, f". .venv/bin/activate; dagrec {words}")

    # data of one's own
    orders = [["load", "clean", "plot", "share"], ["load", "clean", "plot"], ["scan", "clean"]]
    own = [composition(*orders[k % 3], f"end{k % 5}") for k in range(30)]
    (clone / "mine.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in own))
    assert dagrec("data validate data.path=mine.jsonl") == "compositions: 30, faults: none\n"
    data = "data=compositions data.path=mine.jsonl split=composition"
    assert "30 (left out: none)" in dagrec(f"data describe {data}")

    # a model of one's own
    assert "Wrote mine/mean.py\n" in dagrec("new model mean")
    kept = dagrec("check mine")
    assert kept.startswith("model=mean\n")
    assert kept.endswith(f"\n{kept.count('  kept  ')} kept.\n")

    # every combination, in one table; then a table of all so far, with tests between the rows
    said = dagrec(f"train -cd mine -m {data} model=popularity,markov,mean seed=0,1")
    assert "6 jobs, all finished" in said
    figures = {name: accuracy(said, name) for name in ("popularity", "markov", "mean")}
    assert figures["popularity"] < min(figures["markov"], figures["mean"])
    said = dagrec("compare outputs/train")
    assert {name: accuracy(said, name) for name in figures} == figures
    assert "gru4rec" in first_table(said)

    # what comes next, by the model of one's own: after load and clean always plot
    run = next(file.parent for file in clone.glob("outputs/train/*/5/result.json"))
    said = dagrec(f"predict -cd mine run={run} context=[load,clean] top_k=2")
    answer = json.loads(said)
    assert answer["services"][0]["service"] == "service_plot"

    # the same over HTTP
    shell(clone, ".venv/bin/pip install --quiet -c constraints.txt -e '.[serve]'")
    words = ["serve", "-cd", "mine", f"run={run}", "port=0"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [clone / ".venv/bin/dagrec", *words], cwd=clone, env=bare, **pipes
    ) as server:
        address = server.stdout.readline().split(" at ")[1].split()[0]
        body = json.dumps({"context": ["load", "clean"], "k": 2}).encode()
        asked = Request(f"{address}/recommend", body, {"Content-Type": "application/json"})
        with urlopen(asked) as reply:
            assert json.load(reply) == {"answers": [answer]}
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=60)
    assert (server.returncode, said) == (130, "dagrec serve: interrupted.\n")


def test_from_the_wheel_to_a_model_of_one_s_own_in_a_table(tmp_path: Path, shell: Shell) -> None:
    """The tour of the guide, word for word."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    page = (ROOT / "dagrec_cli/guide/own-code.md").read_text()
    tour = page.partition("## The tour\n")[2].partition("\n## ")[0]
    typed = "".join(re.findall(r"^```\n(.*?)^```", tour, re.M | re.S))
    said = shell(tmp_path, typed.replace("RUN", "$(echo outputs/train/*)"))
    assert (tmp_path / "env/bin/dagrec").is_file()
    assert {"mean.py", "model", "table", "test_mean.py"} <= {*os.listdir(tmp_path / "mine")}
    assert " kept.\n" in said
    assert "BROKEN" not in said
    assert json.loads(re.findall(r"^{.*}$", said, re.M)[0])["after"] == "service_1"
    said = said[said.index("[4/4 ") :]
    assert {"popularity", "counting", "GRU4Rec", "mean"} <= first_table(said).keys()
    assert accuracy(said, "popularity") < 0.5 < accuracy(said, "mean") < 1
