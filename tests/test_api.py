"""dagrec from Python: what a notebook does, and what is its own fault."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import dagrec_cli
from dagrec_cli import DagrecError, TrainedRun
from dagrec_cli.config.where import config_dir

ROOT = Path(__file__).parents[1]
SHORT = ("data.compositions=60", "trainer.epochs=1")
TOLD = [
    "imported: []",
    "60 compositions, 65 pairs",
    "folders: ('outputs', 'train') TrainedRun('counts')",
    "{0: 20, 1: 20}",
    "178188 weights",
    "[3, 3]",
    "n = 20 test pairs in 18 groups, data=synthetic split=paper (test_share=0.3 seed=42)",
    "ConfigError: trainer.epochs is 0; use a whole number of 1 or more.",
    "DagrecError: unknown setting 'lr'; did you mean trainer.learning_rate=VALUE? dagrec train "
    "--help lists all of them.",
]


def python(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_a_notebook_prints_only_what_it_prints_itself(tmp_path: Path) -> None:
    lines = python(tmp_path, str(ROOT / "tests/notebook.py")).splitlines()
    assert [line for line in lines if line in TOLD] == TOLD
    assert len(lines) == 23


def test_the_import_is_light(tmp_path: Path) -> None:
    words = "import sys; old = {*sys.modules}; import dagrec_cli; print(*{*sys.modules} - old)"
    packages = {name.split(".")[0] for name in python(tmp_path, "-c", words).split()}
    assert packages - sys.stdlib_module_names == {"dagrec_cli"}
    assert (ROOT / "dagrec_cli/py.typed").is_file()


def path_to(run: TrainedRun, context: int) -> list[str]:
    """Return the nodes of a context that is a path, first node first."""
    node, parents = run.contexts.loc[context, ["node", "parents"]]
    return [*(path_to(run, parents[0]) if parents else []), node]


def test_it_is_what_the_command_line_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = dagrec_cli.train(*SHORT, seeds=[3, 4], folder=tmp_path / "own" / "run")
    line = ("train", *SHORT, "seeds=[3,4]", "hydra.run.dir=typed")
    python(tmp_path, "-m", "dagrec_cli", *line)
    for name in ("predictions.csv", "model.safetensors", "config.yaml"):
        assert (run.folder / name).read_bytes() == (tmp_path / "typed" / name).read_bytes()
    assert list(run.metrics.columns) == ["mean", "std", "low", "high"]
    right = run.predictions.query("target == predicted").groupby("seed").size() / 20
    assert run.metrics.loc["accuracy", "mean"] == pytest.approx(right.mean())
    best = run.predictions.query("seed == 4").iloc[0]
    for each in (dagrec_cli.load("typed", seed=4), TrainedRun(run.folder, seed=4)):
        (first,) = each.recommend(path_to(run, best.context), k=1).services
        assert (first.service, first.probability) == (
            best.predicted,
            pytest.approx(best.probability, rel=1e-4),
        )
        bare = first.service.removeprefix("service_")
        assert each.recommend(path_to(run, best.context), allowed=[bare]).services == [first]


def test_names_come_back_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spreadsheet's apostrophe is none of theirs."""
    monkeypatch.chdir(tmp_path)
    run = dagrec_cli.train(*SHORT, "model=popularity")
    file = run.folder / "predictions.csv"
    vocabulary = run.folder / "vocabulary.json"
    first = run.predictions.target.iloc[0]
    file.write_text(file.read_text().replace(first, "'=1+1"))
    vocabulary.write_text(vocabulary.read_text().replace(f'"{first}"', '"=1+1"'))
    assert dagrec_cli.load(run.folder).predictions.target.iloc[0] == "=1+1"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: dagrec_cli.train("model=gru"), "model=gru does not exist; did you mean gru4rec?"),
        (lambda: dagrec_cli.train("seed=0,1"), "write|seeds="),
        (lambda: dagrec_cli.train("+foo=1"), "unknown setting 'foo'"),
        (lambda: dagrec_cli.train("trainer.epochs=[" + "[" * 2000), "cannot read|nested"),
        (lambda: dagrec_cli.train("resume=run"), "resume=RUN is for the command line"),
        (lambda: dagrec_cli.train("experiment=search"), "a search runs many trials"),
        (lambda: dagrec_cli.train("split.folds=5"), "5 parts, .* split.part=0 to 4"),
        (lambda: dagrec_cli.train(seeds=[0, 0]), "each once"),
        (lambda: dagrec_cli.train(folder="/proc/none"), "/proc/none"),
        (lambda: dagrec_cli.train("data=compositions", "data.path=none.jsonl"), "none.jsonl"),
        (lambda: dagrec_cli.read_data("split=paper"), "'split=paper' is nothing about data"),
        (lambda: dagrec_cli.load("nowhere"), "nowhere: no such folder"),
        (lambda: dagrec_cli.compare([]), "no runs given"),
        (lambda: dagrec_cli.compare("nowhere"), "nowhere: no such folder"),
        (lambda: dagrec_cli.compare(["."], metric="f2"), "metric is 'f2'"),
    ],
    ids=[*"0123456789abcde"],
)
def test_what_a_user_can_mend_is_a_dagrec_error(
    call: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DagrecError, match=said):
        call()  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_a_run_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = dagrec_cli.train(*SHORT)
    for context, said in (("t1", "a JSON list"), (["nobody"], "nobody"), ([], "0 nodes")):
        with pytest.raises(DagrecError, match=said):
            run.recommend(context)
    with pytest.raises(DagrecError, match="allowed: 1 of 1 name"):
        run.recommend(["t1"], allowed=["nobody"])
    with pytest.raises(DagrecError, match="k is 0"):
        run.recommend(["t1"], k=0)
    with pytest.raises(DagrecError, match="no seed 7; it has 0"):
        _ = dagrec_cli.load(run.folder, seed=7).model
    result = run.folder / "result.json"
    text = result.read_text().replace('"finished"', '"failed", "error": "no disk"')
    result.write_text(text)
    with pytest.raises(DagrecError, match="is not finished"):
        _ = dagrec_cli.load(run.folder).metrics


def test_a_run_that_did_not_finish_is_told_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = (dagrec_cli.train(*SHORT, "model=popularity", folder=name) for name in "ab")
    (bad.folder / "predictions.csv").unlink()
    table = dagrec_cli.compare([good, bad])
    assert table.row.iloc[0] == "popularity"
    assert [note for note in table.attrs["notes"] if note.startswith("Not finished: b")]


def test_a_program_of_hydra_keeps_its_own(tmp_path: Path) -> None:
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        dagrec_cli.read_data("data.compositions=60")
        with pytest.raises(DagrecError):
            dagrec_cli.read_data("data=none")
        assert GlobalHydra.instance().hydra is before is not None


def test_what_training_says_stands_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = dagrec_cli.train(*SHORT, "model=popularity")
    assert capfd.readouterr() == ("", "")
    assert "finished in" in (run.folder / "run.log").read_text()


def test_a_run_that_reads_owners_names_them_and_asks_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After t1, ann calls 1 and bob 2; a few whom nobody knows call 3."""
    monkeypatch.chdir(tmp_path)
    links = [{"source": "t1", "target": 1}]
    called = [("ann", 1)] * 20 + [("bob", 2)] * 20 + [(None, 3)] * 4
    drawn = [
        {"nodes": [{"id": "t1"}, {"id": 1, "mid": mid}], "links": links, "owner": owner}
        for owner, mid in called
    ]
    Path("own.jsonl").write_text("\n".join(map(json.dumps, drawn)))
    data = ("data=compositions", "data.path=own.jsonl", "data.on_invalid=error")
    plain = dagrec_cli.train(*data, "model=backoff", folder="plain")
    run = dagrec_cli.train(*data, "model=backoff", "model.owner=prior", folder="owned")
    net = dagrec_cli.train(
        *(*data, "model=gru4rec", "model.owner=embedding", "trainer=full_batch"),
        *("trainer.epochs=40", "trainer.learning_rate=0.01"),
        folder="net",
    )
    for each in (run, net):
        best = [each.recommend(["t1"], k=1, owner=who).services[0] for who in ("ann", "bob")]
        assert [first.service for first in best] == ["service_1", "service_2"]
        assert "owner" in each.predictions
        assert each.recommend(["t1"], owner="eve").services == each.recommend(["t1"]).services
    begun = {"nodes": [{"id": "t1"}], "links": [], "owner": "bob"}
    (answer,) = run.recommend_composition(json.dumps(begun).encode(), k=1)
    assert answer.services[0].service == "service_2"
    assert json.loads((run.folder / "vocabulary.json").read_text())["owners"] == ["ann", "bob"]
    assert "ann" not in (plain.folder / "vocabulary.json").read_text()
    assert "owner" not in plain.predictions
    table = dagrec_cli.compare([plain, run, net])
    accuracy = table.set_index("row")["accuracy"].to_dict()
    of_owner = accuracy.pop("static ceiling of the context and the owner")
    assert of_owner >= max(accuracy.values())
    assert of_owner > accuracy["static ceiling of the context"]
