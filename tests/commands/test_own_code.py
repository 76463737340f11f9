"""``-cd mine``: classes of one's own, without a fork."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dagrec_cli
from dagrec_cli import DagrecError

Dagrec = Callable[..., Any]
ROOT = Path(__file__).parents[2]

MODEL = """
from pathlib import Path

import torch

from dagrec_cli.models.base import CountingModel


class Mean(CountingModel):
    def __init__(self, facts, *, boost: float, mask: str):
        super().__init__(facts, mask=mask)
        self.boost = boost
        self.register_buffer("share", torch.zeros(facts.n_services))

    def count(self, pairs, contexts):
        target = torch.from_numpy(pairs.target).long()
        self.share.index_add_(0, target, torch.from_numpy(pairs.weight))

    def forward(self, contexts):
        return (self.share * self.boost).expand(len(contexts), -1)


class Half(CountingModel):
    def count(self, pairs, contexts):
        pass


class Stone:
    def __init__(self, facts):
        pass
"""
YAML = "_target_: mymodel.Mean\nboost: 1.0\nmask: none\n"
TABLE = "rows: [{name: mine, overrides: [model=mean]}]\n"
SHORT = ("-cd", "mine", "model=mean")


def write_mine(folder: Path) -> Path:
    for name, text in (("mymodel.py", MODEL), ("model/mean.yaml", YAML), ("table/t.yaml", TABLE)):
        file = folder / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "mine"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a model and its config; what is imported from it is forgotten afterwards."""
    folder = write_mine(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield folder
    sys.modules.pop("mymodel", None)


@pytest.fixture(scope="module")
def trained_once(dagrec_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of that model; for reading only."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        write_mine(folder)
        assert dagrec_in(folder, ["train", *SHORT, "hydra.run.dir=r"]).code == 0
    del sys.modules["mymodel"]
    return folder / "r"


@pytest.fixture
def run(trained_once: Path, tmp_path: Path) -> Path:
    """A copy of it, ``r``."""
    return shutil.copytree(trained_once, tmp_path / "r")


def change(mine: Path) -> None:
    file = mine / "mymodel.py"
    file.write_text(file.read_text().replace("self.share * self", "-self.share * self"))
    sys.modules.pop("mymodel", None)


def test_a_model_of_one_s_own_trains_and_recommends(dagrec: Dagrec) -> None:
    answer = dagrec("train", *SHORT)
    assert (answer.code, answer.err) == (0, "")
    result = answer.result()
    assert result["command_line"] == "dagrec train -cd mine model=mean"
    plain = dagrec("train", "model=popularity", "model.ranking=counts", "hydra.run.dir=plain")
    same = json.loads((plain.folder / "plain/result.json").read_text())
    assert result["metrics"]["ndcg"]["mean"] == same["metrics"]["ndcg"]["mean"]
    assert same["code_sha256"] == ""
    run = f"run={answer.run}"
    said = dagrec("predict", "--config-dir=mine", run, "context=[service_1]")
    assert said.code == 0
    assert '"seen"' in said.out
    assert dagrec("evaluate", "-cd", "mine", run).code == 0
    assert dagrec("train", "-cd", "mine", f"resume={answer.run}").code == 0


@pytest.mark.parametrize("command", ["predict", "evaluate", "export", "resume"])
def test_without_the_folder_its_code_does_not_run(
    dagrec: Dagrec, run: Path, mine: Path, command: str
) -> None:
    words = {
        "resume": ("train", "resume=r"),
        "predict": ("predict", "run=r", "context=[service_1]"),
        "evaluate": ("evaluate", "run=r"),
        "export": ("export", "run=r", "output=m.onnx"),
    }[command]
    sys.path.append(str(mine))
    for more in ((), ("trust=json",)):
        answer = dagrec(*words, *more)
        told = "model._target_ is 'mymodel.Mean': code of mymodel would run; if you trust it, add "
        assert f"{told}trust=mymodel, or -cd FOLDER" in answer.refusal
        assert "mymodel" not in sys.modules
    if command in ("predict", "evaluate"):
        assert dagrec(*words, "trust=mymodel").code == 0


@pytest.mark.parametrize("trust", ["a.b", "1", "[x,y/z]", "dagrec_cli", "''"])
def test_trust_is_in_packages(dagrec: Dagrec, run: Path, trust: str) -> None:
    answer = dagrec("predict", "run=r", "context=[service_1]", f"trust={trust}")
    assert "name a package whose code may run, such as trust=mymodel" in answer.refusal


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mymodel.Stone", "which is no Model"),
        ("mymodel.Path", "is no class of mymodel"),
        ("subprocess.Popen", "code of subprocess would run"),
        ("dagrec_cli.runs.folder.RunFolder", "a run folder may only name classes"),
    ],
)
def test_trust_is_no_more_than_it_says(
    dagrec: Dagrec, run: Path, mine: Path, target: str, said: str
) -> None:
    sys.path.append(str(mine))
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("mymodel.Mean", target))
    assert said in dagrec("predict", "run=r", "context=[service_1]", "trust=mymodel").refusal


def test_a_run_without_its_code_says_so(dagrec: Dagrec, run: Path) -> None:
    answer = dagrec("predict", "run=r", "context=[service_1]", "trust=mymodel")
    assert "r/config.yaml: model._target_ 'mymodel.Mean' does not exist" in answer.refusal


@pytest.mark.slow
def test_changed_code_is_another_experiment(dagrec: Dagrec, mine: Path) -> None:
    sweep = ("train", "-m", *SHORT, "seed=0,1")
    assert dagrec(*sweep).code == 0
    assert dagrec(*sweep).out.count("finished before") == 2
    dagrec("train", *SHORT, "hydra.run.dir=first")
    change(mine)
    assert "finished before" not in dagrec(*sweep).out
    answer = dagrec("train", "-cd", "mine", "resume=first")
    assert "the code of its own that it runs has changed since it began" in answer.refusal
    dagrec("train", *SHORT, "hydra.run.dir=second")
    out = dagrec("compare", "first", "second").out
    assert out.count("code=") == 2


@pytest.mark.slow
def test_sweeps_tables_and_other_processes_find_it(dagrec: Dagrec, mine: Path) -> None:
    words = ("reproduce", "-cd", "mine", "table=t", "seeds=[0]")
    answer = dagrec(*words)
    assert answer.code == 0
    assert "t: mine: accuracy .3377" in answer.out
    dagrec(*words)
    assert len(list(answer.folder.glob("outputs/reproduce/rows/*"))) == 1
    change(mine)
    dagrec(*words)
    assert len(list(answer.folder.glob("outputs/reproduce/rows/*"))) == 2


@pytest.mark.slow
def test_launched_jobs_find_it(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra joblib")
    words = ["train", "-m", *SHORT, "seed=0,1", "hydra/launcher=joblib"]
    done = subprocess.run(
        [sys.executable, "-m", "dagrec_cli", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len([*tmp_path.glob("outputs/train/*/[01]/model.safetensors")]) == 2


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("mymodel.None", "does not exist (module 'mymodel' has no attribute 'None')"),
        ("nowhere.Mean", "does not exist (No module named 'nowhere')"),
        ("mymodel", "does not exist"),
        ("mymodel.Path", "is no class of mymodel"),
        ("mymodel.torch", "is no class of mymodel"),
        ("mymodel.Half", "lacks forward"),
        ("mymodel.Stone", "is 'mymodel.Stone', which is no Model"),
        ("broken.Mean", "cannot be imported (SyntaxError: "),
        ("json.Mean", "mine/json.py would be hidden by the built-in "),
        ("dagrec_cli.losses.ce.CrossEntropy", "which is no Model"),
    ],
)
def test_a_mistake_is_one_line(dagrec: Dagrec, mine: Path, target: str, said: str) -> None:
    (mine / "broken.py").write_text("class Mean(:\n")
    (mine / "json.py").write_text(MODEL)
    settings = "" if target.endswith("Stone") else YAML.partition("\n")[2]
    settings = "mask: none\n" if target.endswith("Half") else settings
    (mine / "model/mean.yaml").write_text(f"_target_: {target}\n{settings}")
    answer = dagrec("train", *SHORT)
    assert said in answer.refusal
    assert not answer.runs


def test_a_wrong_setting_of_it_is_one_line(dagrec: Dagrec) -> None:
    for word, said in (("model.boost=x", "model.boost is 'x'"), ("+model.bost=1", "no setting of")):
        assert said in dagrec("train", *SHORT, word).refusal


def test_it_trains_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = dagrec_cli.train("model=mean", config_dir="mine")
    assert run.metrics.loc["accuracy", "mean"] > 0.3
    dagrec_cli.read_data()  # another command line
    assert len(run.recommend(["service_1"], k=3).services) == 3
    with pytest.raises(DagrecError, match="add trust=mymodel"):
        dagrec_cli.load(run.folder).recommend(["service_1"])
    for trust in ("mymodel", ["mymodel"]):
        assert dagrec_cli.load(run.folder, trust=trust).recommend(["service_1"])
