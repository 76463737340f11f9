"""A run folder with one damaged file: whoever reads it says so in one line, and nothing hangs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from dagrec_cli.errors import ConfigError, DagrecError, RunError
from dagrec_cli.experiment.fit import run_experiment
from dagrec_cli.jobs.job import in_words
from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.report import ReportSheet, write_report
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.model import load_model, named_run
from dagrec_cli.runs.resume import resumption
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import state_of
from dagrec_cli.training.progress import Silent
from train_config import compose_train

DEEP = "[" * 100_000
LONG = "9" * 5000
BOMB = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9) if k else 'x'}]\n" for k in range(9))
WORDS = ("trainer.epochs=2", "seeds=[0,1]", "data.compositions=80", "threads=1")
SETTINGS = ("model.hidden=8", "model.embedding_dim=8")

Damage = Callable[[Path], None]
Folder = Path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "run"
    config, request = compose_train([*WORDS, *SETTINGS])
    run_experiment(config, RunFolder(folder), request, Silent())
    return folder


def predicted(folder: Path) -> None:
    run = named_run(folder, "predict")
    for seed in run.seeds:
        load_model(run, seed)


def resumed(folder: Path) -> None:
    config, request = resumption(folder, [])
    run_experiment(config, RunFolder(folder), request, Silent(), resume=True)


def compared(folder: Path) -> None:
    entries = group_runs([folder], None)
    table = compare_rows(entries, title="t", metric="accuracy")
    write_report(RunFolder(folder.parent / "report"), "t", [ReportSheet([table], entries)])


def judged(folder: Path) -> None:
    """Ask what a sweep and a table ask; they get an answer, never an error."""
    state = state_of(folder)
    texts = [state.reason, in_words(state)]
    assert all(text.isprintable() for text in texts)
    assert (state_of(folder).run is None) == bool(texts[0])


READERS = {"predict": predicted, "resume": resumed, "compare": compared}


def text(name: str, content: str | bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def edit(name: str, place: str, value: Any) -> Damage:
    """Set a value of a JSON file, at a dotted place; ``...`` takes it out."""

    def damage(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        *above, last = place.split(".")
        node = found
        for key in above:
            node = node[int(key) if isinstance(node, list) else key]
        if value is ...:
            del node[last]
        else:
            node[int(last) if isinstance(node, list) else last] = value
        (folder / name).write_text(json.dumps(found))

    return damage


def swap(name: str, pattern: str, new: str) -> Damage:
    def damage(folder: Path) -> None:
        changed, n = re.subn(pattern, new, (folder / name).read_text(), count=1, flags=re.M)
        assert n, pattern
        (folder / name).write_text(changed)

    return damage


def cut(name: str, share: float) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(share * len(content))])

    return damage


def gone(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def a_folder(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


R, C, V, G, M, P, Q = (
    *("result.json", "config.yaml", "vocabulary.json", "graph.json"),
    *("metrics.csv", "predictions.csv", "request.json"),
)
W = "model.safetensors"
MODEL = {"parameters": 1, "mask": "hard", "best_epoch": [1, 1]}
BOTH = ("predict", "compare")
FORMS: dict[str, tuple[str, Damage, tuple[str, ...]]] = {
    "result empty": (R, text(R, ""), BOTH),
    "result cut": (R, cut(R, 0.5), BOTH),
    "result a list": (R, text(R, "[]"), BOTH),
    "result binary": (R, text(R, bytes(range(256))), BOTH),
    "result with a mark": (R, text(R, b"\xef\xbb\xbf{}"), BOTH),
    "result latin-1": (R, text(R, b'{"status": "\xe9"}'), BOTH),
    "result deep": (R, text(R, DEEP), BOTH),
    "result a folder": (R, a_folder(R), BOTH),
    "result long number": (R, text(R, f'{{"status": "finished", "seeds": [{LONG}]}}'), BOTH),
    "status a list": (R, edit(R, "status", []), BOTH),
    "seeds text": (R, edit(R, "seeds", "01"), BOTH),
    "seeds empty": (R, edit(R, "seeds", []), BOTH),
    "seeds nested": (R, edit(R, "seeds", [[0]]), BOTH),
    "seeds twice": (R, edit(R, "seeds", [0, 0]), BOTH),
    "seeds negative": (R, edit(R, "seeds", [-1]), BOTH),
    "seeds others": (R, edit(R, "seeds", [5, 6]), BOTH),
    "data null": (R, edit(R, "data", None), BOTH),
    "data a list": (R, edit(R, "data", []), BOTH),
    "data.sha256 number": (R, edit(R, "data.sha256", 1), BOTH),
    "data.sha256 gone": (R, edit(R, "data.sha256", ...), BOTH),
    "data.test text": (R, edit(R, "data.test", "12"), BOTH),
    "data.test none": (R, edit(R, "data.test", 0), BOTH),
    "data.test huge": (R, edit(R, "data.test", 10**30), BOTH),
    "data.leakage text": (R, edit(R, "data.leakage", "much"), BOTH),
    "metrics a list": (R, edit(R, "metrics", []), BOTH),
    "metrics text": (R, edit(R, "metrics.accuracy", "high"), BOTH),
    "metrics NaN": (R, edit(R, "metrics.accuracy.mean", float("nan")), BOTH),
    "metrics infinite": (R, edit(R, "metrics.accuracy.mean", float("inf")), BOTH),
    "metrics gone": (R, edit(R, "metrics", ...), BOTH),
    "one metric gone": (R, edit(R, "metrics.accuracy", ...), BOTH),
    "per_seed a list": (R, edit(R, "per_seed", []), BOTH),
    "per_seed gone": (R, edit(R, "per_seed", ...), BOTH),
    "lists of another seed": (R, edit(R, "lists", {"7": {"coverage@5": 0.1}}), BOTH),
    "lists of no list": (R, edit(R, "lists", {"0": {"ndcg@5": 0.1}}), BOTH),
    "ceilings text": (R, edit(R, "ceilings", "none"), BOTH),
    "a ceiling number": (R, edit(R, "ceilings.context", 1), BOTH),
    "model number": (R, edit(R, "model", 3), BOTH),
    "model.epochs number": (R, edit(R, "model.epochs", 3), BOTH),
    "model.best_epoch empty": (R, edit(R, "model.best_epoch", []), BOTH),
    "model.parameters text": (R, edit(R, "model.parameters", "1"), BOTH),
    "seconds text": (R, edit(R, "seconds.total", "long"), BOTH),
    "seconds negative": (R, edit(R, "seconds.per_epoch", -1.0), BOTH),
    "seconds.per_epoch gone": (R, edit(R, "seconds.per_epoch", ...), BOTH),
    "choices a list": (R, edit(R, "choices", ["gru4rec"]), BOTH),
    "choices number": (R, edit(R, "choices.model", 1), BOTH),
    "versions text": (R, edit(R, "versions", "1"), BOTH),
    "started number": (R, edit(R, "started", 1), BOTH),
    "command_line a list": (R, edit(R, "command_line", []), BOTH),
    "format text": (R, edit(R, "format", "one"), BOTH),
    "format 1": (R, edit(R, "format", 1), BOTH),
    "format 3": (R, edit(R, "format", 3), BOTH),
    "format gone": (R, edit(R, "format", ...), BOTH),
    "more pairs tested": (R, edit(R, "data.test", 10**9), BOTH),
    "more services": (R, edit(R, "data.services", 10**9), BOTH),
    "more groups": (R, edit(R, "data.test_groups", 10**9), BOTH),
    "mean above 1": (R, edit(R, "metrics.accuracy.mean", 1.5), BOTH),
    "mean outside": (R, edit(R, "metrics.accuracy.low", 0.999), BOTH),
    "figure below 0": (R, edit(R, "per_seed.0.mrr", -0.1), BOTH),
    "epochs of one seed": (R, edit(R, "model.epochs", [2]), BOTH),
    "versions without ours": (R, edit(R, "versions.dagrec", ...), BOTH),
    "mask other": (R, edit(R, "model.mask", "none"), ("compare",)),
    "context other": (R, edit(R, "data.context", "path"), ("compare",)),
    "evaluated_on train": (R, edit(R, "evaluated_on", "train"), ("compare",)),
    "nodes more": (R, edit(R, "data.nodes", 10**9), ("compare",)),
    "parameters other": (R, edit(R, "model.parameters", 1), ("predict",)),
    "parameters none": (R, edit(R, "model.parameters", 0), BOTH),
    "epochs fewer": (R, edit(R, "model", {**MODEL, "epochs": [1, 1]}), ("compare",)),
    "best_epoch later": (R, edit(R, "model.best_epoch", [2, 3]), BOTH),
    "overrides other": (R, edit(R, "overrides", []), ("compare",)),
    "data.sha256 other": (R, edit(R, "data.sha256", "0" * 64), ("compare",)),
    "held_out number": (R, edit(R, "data.held_out", 3), BOTH),
    "evaluated_on other": (R, edit(R, "evaluated_on", "all of it"), BOTH),
    "tie_rule null": (R, edit(R, "tie_rule", None), BOTH),
    "run number": (R, edit(R, "run", 7), BOTH),
    "config seeds": (C, swap(C, r"^seeds:\n- 0\n", "seeds:\n"), ("compare",)),
    "config epochs": (C, swap(C, "^  epochs: .*", "  epochs: 1"), ("compare",)),
    "config empty": (C, text(C, ""), ("predict", "resume", "compare")),
    "config a list": (C, text(C, "[]"), ("predict", "resume", "compare")),
    "config text": (C, text(C, "hello"), ("predict", "resume", "compare")),
    "config binary": (C, text(C, bytes(range(256))), ("predict", "resume", "compare")),
    "config deep": (C, text(C, f"model: {DEEP[:1000]}"), ("predict", "resume", "compare")),
    "config alias bomb": (C, text(C, BOMB), ("predict", "resume", "compare")),
    "config itself": (C, text(C, "model: &m {a: *m}\n"), ("predict", "resume", "compare")),
    "config long": (C, text(C, "a: b\n" * 100_000), ("predict", "resume", "compare")),
    "config date": (C, swap(C, "^seed: .*", "seed: 2020-01-01"), ()),
    "config bytes": (C, swap(C, "^seed: .*", "seed: !!binary aGk="), ("resume", "compare")),
    "config python": (C, swap(C, "^seed: .*", "seed: !!python/tuple [1]"), ("resume", "compare")),
    "config mixed keys": (C, swap(C, "^  lengths:", "  lengths:\n    a: 1"), ("resume", "compare")),
    "config gone": (C, gone(C), ("predict", "resume", "compare")),
    "config a folder": (C, a_folder(C), ("predict", "resume", "compare")),
    "split text": (C, swap(C, r"^split:\n(  .*\n)*", "split: paper\n"), ("resume", "compare")),
    "trainer null": (C, swap(C, r"^trainer:\n(  .*\n)*", "trainer: null\n"), ("resume", "compare")),
    "trainer.epochs null": (C, swap(C, "^  epochs: .*", "  epochs: null"), ("resume",)),
    "trainer.epochs huge": (C, swap(C, "^  epochs: .*", f"  epochs: {10**12}"), ("resume",)),
    "trainer.monitor list": (C, swap(C, "^  monitor: .*", "  monitor: []"), ("resume",)),
    "compositions huge": (
        C,
        swap(C, "^  compositions: .*", f"  compositions: {10**12}"),
        ("resume",),
    ),
    "hidden text": (C, swap(C, "^  hidden: .*", "  hidden: wide"), ("predict", "resume")),
    "hidden other": (C, swap(C, "^  hidden: .*", "  hidden: 9"), ("predict",)),
    "embedding huge": (
        C,
        swap(C, "^  embedding_dim: .*", f"  embedding_dim: {10**9}"),
        ("predict",),
    ),
    "layers many": (C, swap(C, "^  num_layers: .*", "  num_layers: 1000000"), ("predict",)),
    "layers some": (C, swap(C, "^  num_layers: .*", "  num_layers: 900"), ("predict",)),
    "hidden long": (C, swap(C, "^  hidden: .*", f"  hidden: {'9' * 4000}"), ("predict",)),
    "target a path": (
        C,
        swap(C, r"^data:\n  _target_: .*", "data:\n  _target_: dagrec_cli.data.files.Path"),
        ("resume",),
    ),
    "target a helper": (
        C,
        swap(C, r"^model:\n  _target_: .*", "model:\n  _target_: dagrec_cli.models.base.Facts"),
        ("predict", "resume"),
    ),
    "target a list": (
        C,
        swap(C, r"^model:\n  _target_: .*", "model:\n  _target_: [a]"),
        ("predict", "resume"),
    ),
    "vocabulary a list": (V, text(V, "[]"), BOTH),
    "vocabulary numbers": (V, edit(V, "services", [1]), BOTH),
    "vocabulary flags": (V, edit(V, "is_service", []), BOTH),
    "vocabulary unknown": (V, edit(V, "services", ["none"]), BOTH),
    "vocabulary twice": (V, edit(V, "nodes", ["a", "a"]), BOTH),
    "vocabulary surrogate": (V, text(V, '{"nodes": ["\\ud800"]}'), BOTH),
    "vocabulary known": (V, edit(V, "known", [10**6, 1]), BOTH),
    "vocabulary known apart": (V, edit(V, "known", [1, 2]), BOTH),
    "vocabulary gone": (V, gone(V), BOTH),
    "graph text": (G, text(G, "none"), ("predict",)),
    "graph out": (G, edit(G, "known", [[1, 10**6, 1]]), ("predict",)),
    "graph negative": (G, edit(G, "known", [[-1, 1, 1]]), ("predict",)),
    "graph huge": (G, edit(G, "known", [[1, 2, 10**30]]), ("predict",)),
    "graph pairs": (G, edit(G, "known", [[1, 2]]), ("predict",)),
    "graph without": (G, edit(G, "known", ...), ("predict",)),
    "graph without edges": (G, edit(G, "edges", ...), ("predict",)),
    "edges text": (G, edit(G, "edges", [[1, 2, "3"]]), ("predict",)),
    "edges before": (G, edit(G, "edges", [[0, 1, 1]]), ("predict",)),
    "metrics.csv empty": (M, text(M, ""), ()),
    "metrics.csv words": (M, swap(M, "^0,.*", "0,one,two,three"), ("compare",)),
    "metrics.csv NaN": (M, swap(M, "^0,1,[^,]*", "0,1,nan"), ("compare",)),
    "metrics.csv infinite": (M, swap(M, "^0,1,[^,]*", "0,1,1e999"), ("compare",)),
    "metrics.csv short": (M, swap(M, "^0,.*", "0,1"), ("compare",)),
    "metrics.csv long": (M, swap(M, "^0,.*", "0" + ",1" * 20), ("compare",)),
    "metrics.csv again": (M, swap(M, "^(0,1,.*)$", r"\1\n\1"), ("compare",)),
    "metrics.csv fewer": (M, swap(M, r"^1,2,.*\n", ""), ("compare",)),
    "metrics.csv other": (M, text(M, "a,b\n1,2\n"), ("compare",)),
    "metrics.csv binary": (M, text(M, bytes(range(256))), ("compare",)),
    "metrics.csv gone": (M, gone(M), ("compare",)),
    "predictions empty": (P, text(P, ""), ("compare",)),
    "predictions cut": (P, cut(P, 0.5), ("compare",)),
    "predictions binary": (P, text(P, bytes(range(256))), ("compare",)),
    "predictions seed": (P, swap(P, "^0,", "zero,"), ("compare",)),
    "predictions gone": (P, gone(P), ("compare",)),
    "request a list": (Q, text(Q, "[]"), ("resume",)),
    "request choices": (Q, edit(Q, "choices", []), ("resume",)),
    "request overrides": (Q, edit(Q, "overrides", [1]), ("resume",)),
    "request without a hash": (Q, edit(Q, "config_sha256", ...), ("resume",)),
    "request of 0.1": (Q, edit(Q, "format", 1), ("resume",)),
    "request deep": (Q, text(Q, DEEP), ("resume",)),
    "request a folder": (Q, a_folder(Q), ("resume",)),
    "weights empty": (W, text(W, ""), ("predict",)),
    "weights head": (W, text(W, b"\xff" * 64), ("predict",)),
    "weights text": (W, text(W, (2).to_bytes(8, "little") + b"[]"), ("predict",)),
    "weights a folder": (W, a_folder(W), ("predict",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_one_line(sound: Path, tmp_path: Path, form: str) -> None:
    name, damage, noticed = FORMS[form]
    folder = tmp_path / "run"
    shutil.copytree(sound, folder)
    damage(folder)
    judged(folder)
    for reader in noticed:
        with pytest.raises(DagrecError) as caught:
            READERS[reader](folder)
        said = str(caught.value)
        is_setting = isinstance(caught.value, ConfigError)  # told by its dotted name
        assert name in said or is_setting
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 2000  # the command cuts it


def test_the_folder_without_damage_is_read(sound: Path, tmp_path: Path) -> None:
    for reader, read in {**READERS, "judge": judged}.items():
        folder = tmp_path / reader / "run"
        shutil.copytree(sound, folder)
        read(folder)
        for name in ("predictions.csv", "model.safetensors"):  # going on with it ends in the same
            assert (folder / name).read_bytes() == (sound / name).read_bytes(), reader


def test_a_folder_of_the_first_edition_is_one_line_and_one_row(sound: Path, tmp_path: Path) -> None:
    for name in ("sound", "old"):
        shutil.copytree(sound, tmp_path / "runs" / name)
    old = tmp_path / "runs" / "old"
    for name in (R, Q):
        edit(name, "format", 1)(old)
    for read in (predicted, resumed):
        with pytest.raises(RunError, match=r"made by dagrec 0\.1\.0; .* train it again\.$"):
            read(old)
    row, failed = group_runs([tmp_path / "runs"], None)
    assert len(row.runs) == 1
    assert "made by dagrec 0.1.0" in failed.reason


def test_weights_of_a_crafted_size_build_no_model(sound: Path, tmp_path: Path) -> None:
    """A wide weight in the file lets a setting be as large, but not the model's sum."""
    folder = tmp_path / "run"
    shutil.copytree(sound, folder)
    weights = load_file(folder / W)
    weights["wide"] = weights["head.bias"].new_zeros(2_000_000, 0)
    save_file(weights, folder / W)
    swap(C, "^  num_layers: .*", "  num_layers: 2000000")(folder)
    with pytest.raises(RunError, match=r"its model has more weights than model\.safetensors holds"):
        load_model(Run.load(folder))
