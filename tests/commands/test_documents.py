"""Every command of README and of the guide, at small sizes and on made-up data, in its order."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.commands.guide import PAGES
from dagrec_cli.config.gru4rec_params import PARAMS
from dagrec_cli.config.where import options

Dagrec = Callable[..., Any]

README = Path(__file__).parents[2] / "README.md"
DOCUMENTS = [README, *sorted(PAGES.glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
INSTEAD = {  # what a command names, and what it is given here
    "data=geoportal": "data=synthetic",
    "data=comfyui": "data=comfyui_workflows data.path=comfy",
    "trainer.epochs=100": "",
}
QUICK = {  # what a command is given besides
    "train": ["trainer.epochs=1"],
    "reproduce": ['overrides=["trainer.epochs=1"]', "n_jobs=1"],
    "train -m experiment=search": ["hydra.sweeper.n_trials=2"],
}
SAID = re.compile(  # what may be said besides: of one epoch, a model of all steps, a small world
    r"seed \d+: .* when training ended; raise trainer.epochs|"
    r"The model is fitted on all \d+ steps|top_k is 5, but only"
)
NOT_RUN = {  # how a command begins, and why it is not run
    "make ": "what these tests themselves are run by",
    'eval "$(dagrec -sc install=bash)"': "a shell's; test_cli.py asks for what completes",
    "python3 -m venv": "test_newcomer.py installs the wheel",
    ". env/bin/activate": "test_newcomer.py installs the wheel",
    "pip install": "test_newcomer.py installs the wheel",
    "dagrec reproduce table=summary": "takes minutes, and the paper's data: test_reproduce.py",
    "dagrec reproduce -cd outputs": "takes minutes: test_tune.py",
    "dagrec train -cd outputs": "takes what tuning writes: test_tune.py",
    "dagrec score": "takes another tool's file: test_score.py",
    "dagrec compare outputs/train outputs/score": "takes that one's run: test_score.py",
    "dagrec export": "takes an extra: test_export.py",
    "dagrec serve": "serves until it is stopped: test_serve.py",
    "curl": "takes a server: test_serve.py",
    "OMP_NUM_THREADS=1 torchrun": "starts processes: test_distributed.py",
    "srun": "takes SLURM, whose variables test_distributed.py sets",
    "sbatch": "takes SLURM; test_data_prepare.py prepares parts",
    "RAY_ADDRESS": "takes a cluster of Ray",
}
OWN = {"counts", "first", "mean", "tuned", "yours"}  # options that a page makes, or lets one make
SLOW = {"README", "own-code", "start", "sweeps"}


def commands_in(text: str) -> list[str]:
    """Return the commands of a page, without their comments."""
    blocks = "".join(block for language, block in BLOCK.findall(text) if not language)
    lines = [line.partition(" # ")[0].split() for line in blocks.replace("\\\n", " ").splitlines()]
    return [" ".join(words) for words in lines if words and words[0] != "#"]


def reason_not_to_run(command: str) -> str:
    return next((why for start, why in NOT_RUN.items() if command.startswith(start)), "")


def composition(*names: str) -> dict[str, Any]:
    """Return a chain of a table and services, as JSON has it."""
    nodes = [{"id": n, **({"mid": name} if n else {"table": name})} for n, name in enumerate(names)]
    links = [{"source": n, "target": n + 1} for n in range(len(names) - 1)]
    return {"nodes": nodes, "links": links}


def comfy(*names: str) -> dict[str, Any]:
    """Return a chain, as ComfyUI's API format has it."""
    return {
        str(n): {"class_type": name, "inputs": {"input": [str(n - 1), 0]} if n else {}}
        for n, name in enumerate(names)
    }


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the commands name."""
    middle = ["VAEEncode", "ImageScale", "VAEDecode", "ImageBlend"]
    chains = [["LoadImage", *middle[k % 4 :], f"Save{k % 3}"] for k in range(12)]
    (tmp_path / "comfy").mkdir()
    for number, names in enumerate(chains):
        (tmp_path / f"comfy/{number}.json").write_text(json.dumps(comfy(*names)))
    lines = [json.dumps(composition(*names)) for names in chains]
    (tmp_path / "shards").mkdir()
    for file in ("mine.jsonl", "new.jsonl", "chosen.jsonl", "shards/a.jsonl"):
        (tmp_path / file).write_text("\n".join(lines))
    (tmp_path / "mine.json").write_text(json.dumps(comfy("LoadImage", "VAEEncode")))
    (tmp_path / "contexts.jsonl").write_text('["LoadImage"]\n["LoadImage", "VAEEncode"]\n')
    (tmp_path / "tools.txt").write_text("VAEEncode\nImageScale\n")
    (tmp_path / "flows").mkdir()
    link = {"in": {"id": 0, "output_name": "output"}}
    steps = {
        "0": {"id": 0, "type": "data_input", "input_connections": {}},
        "1": {"id": 1, "type": "tool", "tool_id": "Cut1", "input_connections": link},
    }
    flow = {"a_galaxy_workflow": "true", "steps": steps}
    (tmp_path / "flows/cut.ga").write_text(json.dumps(flow))
    return tmp_path


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for module in ("mean", "counts"):
        sys.modules.pop(module, None)


def write_named(text: str, folder: Path) -> None:
    """Write the blocks that begin with the name of a file."""
    for _, block in BLOCK.findall(text):
        if named := re.match(r"# (mine/\S+)\n", block):
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(block)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.slow] * (page.stem in SLOW))
        for page in DOCUMENTS
        if any(not reason_not_to_run(each) for each in commands_in(page.read_text()))
    ],
)
def test_the_commands_of_a_page_work(dagrec: Dagrec, desk: Path, page: Path) -> None:
    text = page.read_text()
    for command in commands_in(text):
        if reason_not_to_run(command):
            continue
        write_named(text, desk)
        for named, instead in INSTEAD.items():
            command = re.sub(rf"{re.escape(named)}(?!\w)", instead, command)
        runs = sorted((desk / "outputs/train").glob("*"))
        words = shlex.split(re.sub(r"=\S*\bRUN\b", f"={runs[-1]}" if runs else "", command))[1:]
        quick = [more for start, more in QUICK.items() if " ".join(words).startswith(start)]
        answer = dagrec(*words, *(word for more in quick for word in more if "--help" not in words))
        assert answer.code == 0, (command, answer.err)
        said = [line for line in answer.err.splitlines() if not SAID.match(line)]
        assert said == [], command


@pytest.mark.parametrize(
    "page",
    [page for page in DOCUMENTS if "```python\nimport" in page.read_text()],
    ids=lambda page: page.stem,
)
def test_the_python_of_a_page_works(desk: Path, page: Path) -> None:
    (code,) = (block for language, block in BLOCK.findall(page.read_text()) if language == "python")
    small = {
        '"data=geoportal"': '"data=comfyui_workflows", "data.path=comfy", "trainer.epochs=1"',
        '"table_1002132", "service_308"': '"LoadImage", "VAEEncode"',
        '["service_308"], ["table_1002132"]': '["VAEEncode"], ["LoadImage"]',
        '"outputs/train/RUN"': "run.folder",
    }
    for named, instead in small.items():
        code = code.replace(named, instead)
    with chdir(desk):
        exec(compile(code, page, "exec"), done := {})
        run = done["run"]
        assert 0 < run.metrics.loc["accuracy", "mean"] <= 1
        # what the page loads again says what the run says
        asked = ["LoadImage", "VAEEncode"]
        assert done.get("old", run).recommend(asked).services == run.recommend(asked).services != []


def test_what_is_not_run_is_there_and_its_reason_too() -> None:
    commands = [command for page in DOCUMENTS for command in commands_in(page.read_text())]
    for start, why in NOT_RUN.items():
        assert any(command.startswith(start) for command in commands), start
        for file in re.findall(r"test_\w+\.py", why):
            assert [*README.parent.glob(f"tests/**/{file}")], file


def test_options_and_settings_that_documents_name_exist() -> None:
    word = re.compile(r"(?<![\w./-])(\w+)(?:\.(\w+))?=([a-z]\w*)?")
    unknown, seen = [], 0
    for page in DOCUMENTS:
        for group, key, option in word.findall(page.read_text()):
            if not (known := options(group)):
                continue
            seen += 1
            is_key = f"{group}.{key}" == PARAMS or any(key in each for each in known.values())
            if key and not is_key:
                unknown.append(f"{page.name}: {group}.{key}")
            if option and not key and option not in {*known, *OWN}:
                unknown.append(f"{page.name}: {group}={option}")
    assert unknown == []
    assert seen > 150
