"""``dagrec predict``: what is recommended, for one context and for many."""

import csv
import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import dagrec_cli
from dagrec_cli.export.recommendations import answer_json
from hand_made import paths_of, result_of

Dagrec = Callable[..., Any]


def recommended(line: str) -> dict[str, float]:
    return {each["service"]: each["probability"] for each in json.loads(line)["services"]}


def vocabulary_of(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "vocabulary.json").read_text())
    return found


def successors_of(run: Path, name: str) -> set[str]:
    """Return the services that follow a node in the graph that the model knows."""
    names = vocabulary_of(run)
    edges = json.loads((run / "graph.json").read_text())["known"]
    node = names["nodes"].index(name) + 1
    followers = {names["nodes"][target - 1] for source, target, _ in edges if source == node}
    return followers & set(names["services"])


def predictions_of(run: Path) -> list[dict[str, str]]:
    with (run / "predictions.csv").open() as lines:
        return list(csv.DictReader(lines))


def branching_node(run: Path) -> str:
    """Return a table that several services follow."""
    nodes = [name for name in vocabulary_of(run)["nodes"] if name.startswith("table_")]
    return max(nodes, key=lambda name: len(successors_of(run, name)))


def test_valid_successors_share_the_probability(trained: Any, dagrec: Dagrec) -> None:
    """The others stand behind them, in the order that they have without the mask."""
    node = branching_node(trained.run)
    answer = dagrec("predict", f"run={trained.run}", f"context=[{node}]", "top_k=99")
    n_services = len(vocabulary_of(trained.run)["services"])
    assert answer.code == 0
    assert answer.err == f"top_k is 99, but only {n_services} services can be ranked.\n"
    found, known = recommended(answer.out), successors_of(trained.run, node)
    assert set(list(found)[: len(known)]) == known
    assert sum(found.values()) == pytest.approx(1, abs=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    answer = dagrec("predict", f"run={trained.run}", f"context={node}", "top_k=99", "mask=none")
    unmasked = recommended(answer.out)
    others = [name for name in unmasked if name not in known]
    assert list(found)[len(known) :] == others
    assert set(found) == set(unmasked) == set(vocabulary_of(trained.run)["services"])
    assert not any(found[name] for name in others)


@pytest.mark.parametrize("top_k", [1, 10, 99])
def test_as_many_are_given_as_asked_and_each_says_how_often_it_was_seen(
    trained: Any, dagrec: Dagrec, top_k: int
) -> None:
    """Also more than the mask allows; 99 is more than the catalogue holds."""
    node, names = branching_node(trained.run), vocabulary_of(trained.run)
    answer = dagrec("predict", f"run={trained.run}", f"context=[{node}]", f"top_k={top_k}")
    found = json.loads(answer.out)
    assert len(found["services"]) == min(top_k, len(names["services"]))
    times = {
        names["nodes"][target - 1]: count
        for source, target, count in json.loads((trained.run / "graph.json").read_text())["known"]
        if names["nodes"][source - 1] == node
    }
    assert found["known_to_follow"] == len(times) == len(successors_of(trained.run, node)) < 10
    assert [each["seen"] for each in found["services"]] == [
        times.get(each["service"], 0) for each in found["services"]
    ]


@pytest.mark.parametrize("output", ["asked.jsonl", "run/model.safetensors", "run/result.json"])
def test_no_file_that_is_read_is_replaced(
    trained: Any, dagrec: Dagrec, tmp_path: Path, output: str
) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    (tmp_path / "asked.jsonl").write_text(json.dumps([branching_node(run)]))
    before = (tmp_path / output).read_bytes()
    answer = dagrec("predict", "run=run", "input=asked.jsonl", f"output={output}")
    assert f"output is '{output}', " in answer.refusal
    assert (tmp_path / output).read_bytes() == before
    asked = ["predict", "run=run", "input=asked.jsonl", "output=run/next.jsonl", "overwrite=true"]
    assert [dagrec(*asked).code, dagrec(*asked).code] == [0, 0]  # an answer is, if that is asked


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, dagrec_in: Callable[..., Any]) -> Any:
    """A network, masked or not, on walks of t1 to 1 to 2 to the dashboard 3, which ends them all.

    Whole compositions are held out, among them the only one that goes from 1 to the dashboard.
    """
    folder = tmp_path_factory.mktemp("finished")
    walks = [["t1", "1", "2", "3"]] * 8 + [["t1", "2", "1", "2"]] * 5 + [["t1", "1", "3"]] * 4
    compositions = []
    for walk in walks:
        nodes = [{"id": k, **({"mid": int(n)} if n != "t1" else {})} for k, n in enumerate(walk)]
        nodes[0]["id"] = "t1"
        ids = [node["id"] for node in nodes]
        links = [{"source": a, "target": b} for a, b in pairwise(ids)]
        compositions.append(json.dumps({"nodes": nodes, "links": links}))
    (folder / "own.jsonl").write_text("\n".join(compositions))
    words = ["train", "data=compositions", "data.path=own.jsonl", "split=composition"]
    words += ["trainer.epochs=3", "trainer.validation_share=0", "trainer.patience=0"]

    def trained(mask: bool) -> Path:
        where = f"hydra.run.dir=outputs/train/{mask}"
        answer = dagrec_in(
            folder, [*words, "model.mask=hard" if mask else "model.mask=none", where]
        )
        assert answer.code == 0, answer.err
        return folder / "outputs/train" / str(mask)

    return trained(True), trained(False)


def told_again(
    run: Path, rows: list[dict[str, str]], dagrec: Dagrec, folder: Path, *words: str
) -> list[tuple[int, float]]:
    """Ask about test pairs, as they were predicted; return each target's place and probability."""
    asked = [json.dumps(paths_of(run)[row["context"]]) for row in rows]
    (folder / "asked.jsonl").write_text("\n".join(asked))
    answer = dagrec("predict", f"run={run}", "input=asked.jsonl", "top_k=99", *words)
    assert answer.code == 0, answer.err
    answers = [recommended(line) for line in answer.out.splitlines()]
    assert [next(iter(found)) for found in answers] == [row["predicted"] for row in rows]
    both = list(zip(answers, (row["target"] for row in rows), strict=True))
    said = [found[target] for found, target in both]
    assert said == pytest.approx([float(row["probability"]) for row in rows], rel=1e-4)
    return [(1 + list(found).index(target), found[target]) for found, target in both]


@pytest.mark.parametrize("which", [0, 1])
def test_the_mask_is_the_models_own_and_ranks_are_those_of_the_evaluation(
    finished: tuple[Path, Path], dagrec: Dagrec, tmp_path: Path, which: int
) -> None:
    rows = predictions_of(finished[which])
    told = told_again(finished[which], rows, dagrec, tmp_path)
    assert [place for place, _ in told] == [float(row["rank"]) for row in rows]
    assert (0 in [said for _, said in told]) == (which == 0)  # a target is ruled out, and ranked


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("ask", ["context=[t1,service_3]", "composition=done.json"])
def test_it_says_that_nothing_is_known_to_follow(
    finished: tuple[Path, Path], dagrec: Dagrec, tmp_path: Path, which: int, ask: str
) -> None:
    nodes = [{"id": "t1"}, {"id": 1, "mid": 3}]
    done = [{"nodes": nodes, "links": [{"source": "t1", "target": 1}]}]
    (tmp_path / "done.json").write_text(json.dumps(done))
    run = finished[which]
    answer = dagrec("predict", f"run={run}", ask, "top_k=2", "format=table")
    heading, told, *lines = answer.out.splitlines()
    assert "service_3" in heading
    assert told == "  No service is known to follow service_3: this ranks all of them."
    assert [line.split(maxsplit=2)[2] for line in lines] == ["never seen after service_3"] * 2
    answer = dagrec("predict", f"run={run}", ask, "top_k=2", "output=next.jsonl")
    found = json.loads((tmp_path / "next.jsonl").read_text())
    assert found["known_to_follow"] == 0
    assert [each["seen"] for each in found["services"]] == [0, 0]
    assert all(each["probability"] > 0 for each in found["services"])
    answer = dagrec("predict", f"run={run}", "context=[t1]", "top_k=1", "format=table")
    assert "No service" not in answer.out
    assert answer.out.splitlines()[1].endswith("times after table_t1")


def test_it_says_what_the_evaluation_said(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    rows = predictions_of(trained.run)
    for seed in ("0", "1"):
        own = [row for row in rows if row["seed"] == seed]
        told = told_again(trained.run, own, dagrec, tmp_path, f"seed={seed}")
        assert [place for place, _ in told] == [float(row["rank"]) for row in own]


def test_many_come_from_standard_input_and_go_to_a_file(
    trained: Any, dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = branching_node(trained.run)
    lines = [json.dumps([node]), "", json.dumps({"context": [node]})] * 1100
    given = io.TextIOWrapper(io.BytesIO("\n".join(lines).encode()))
    monkeypatch.setattr(sys, "stdin", given)
    answer = dagrec("predict", f"run={trained.run}", "input=-", "top_k=1", "output=new/out.jsonl")
    assert (answer.code, answer.out) == (0, "")
    text = (tmp_path / "new/out.jsonl").read_text()
    assert len(text.splitlines()) == 2200
    assert len(set(text.splitlines())) == 1


def test_csv_has_a_row_per_service(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    node = branching_node(trained.run)
    (tmp_path / "two.jsonl").write_text(f'["{node}"]\n["{node}"]\n')
    answer = dagrec("predict", f"run={trained.run}", "input=two.jsonl", "top_k=2", "format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [(row["query"], row["rank"], row["about"]) for row in rows] == [
        (query, rank, node) for query in "01" for rank in "12"
    ]
    known = str(len(successors_of(trained.run, node)))
    assert {row["known_to_follow"] for row in rows} == {known}
    assert all(int(row["seen"]) > 0 for row in rows)


def test_a_table_is_for_reading(trained: Any, dagrec: Dagrec) -> None:
    node = branching_node(trained.run)
    answer = dagrec("predict", f"run={trained.run}", f"context=[{node}]", "top_k=1", "format=table")
    heading, line = answer.out.splitlines()
    assert heading == node
    assert line.split()[0] in successors_of(trained.run, node)


def test_a_sink_is_asked_about_as_the_model_learnt(
    trained: Any, dagrec: Dagrec, tmp_path: Path
) -> None:
    """Two tables lead to one service: as one context, or by the mean over the paths to it."""
    by_path = tmp_path / "by_path"
    shutil.copytree(trained.run, by_path)
    config = (by_path / "config.yaml").read_text()
    (by_path / "config.yaml").write_text(config.replace("context: dag", "context: path"))
    names = vocabulary_of(trained.run)
    tables = [name for name in names["nodes"] if name.startswith("table_")][:2]
    sink = names["services"][0]
    nodes = [{"id": name.removeprefix("table_")} for name in tables]
    nodes.append({"id": "call", "mid": sink.removeprefix("service_")})
    links = [{"source": node["id"], "target": "call"} for node in nodes[:2]]
    (tmp_path / "diamond.json").write_text(json.dumps([{"nodes": nodes, "links": links}]))
    ask = ("predict", f"run={by_path}", "top_k=99")
    answer = dagrec(*ask, "composition=diamond.json")
    whole = dagrec("predict", f"run={trained.run}", "top_k=99", "composition=diamond.json")
    assert json.loads(whole.out)["contexts"] == 1
    assert recommended(whole.out) != pytest.approx(recommended(answer.out), rel=1e-4)
    assert json.loads(answer.out) | {"services": ...} == {
        "composition": 0,
        "format": "compositions",
        "after": sink,
        "node": "call",
        "contexts": 2,
        "known_to_follow": len(successors_of(trained.run, sink)),
        "services": ...,
    }
    one, other = (recommended(dagrec(*ask, f"context=[{t},{sink}]").out) for t in tables)
    assert one != other
    found = recommended(answer.out)
    assert found == pytest.approx({name: (one[name] + other[name]) / 2 for name in one}, rel=1e-4)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    ruled_out = set(names["services"]) - successors_of(trained.run, sink)
    assert set(list(found)[-len(ruled_out) :]) == ruled_out


def test_a_name_may_lack_the_prefix_of_its_kind(trained: Any, dagrec: Dagrec) -> None:
    names = vocabulary_of(trained.run)["nodes"]
    short_names = [name.partition("_")[2] for name in names]
    node = next(
        n for n, short in zip(names, short_names, strict=True) if short_names.count(short) == 1
    )
    whole, short = (
        recommended(dagrec("predict", f"run={trained.run}", f"context=[{name}]").out)
        for name in (node, node.partition("_")[2])
    )
    assert whole == short != {}


def test_an_unknown_node_is_one_line_with_near_names(trained: Any, dagrec: Dagrec) -> None:
    node = branching_node(trained.run)
    answer = dagrec("predict", f"run={trained.run}", f"context=[{node}x]")
    assert f"unknown node '{node}x' (nearest known names: {node}" in answer.refusal


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[]", "line 2: a context of 0 nodes"),
        ("[1]", "line 2: a context is a JSON list of node names"),
        ('{"contexts": []}', "line 2: no context in it"),
        ('["table_1"', "line 2: no context in it"),
        ("[" * 100_000, "line 2: no context in it"),
        ("\xff", "line 2: no context in it"),
        (json.dumps(["table_1"] * 10_001), "line 2: a context of 10,001 nodes"),
        ('["nothing"]', "line 2: unknown node 'nothing'"),
    ],
)
def test_a_faulty_line_costs_all_or_none_of_the_others(
    trained: Any, dagrec: Dagrec, tmp_path: Path, line: str, expected: str
) -> None:
    node = branching_node(trained.run)
    (tmp_path / "asked.jsonl").write_bytes(f'["{node}"]\n'.encode() + line.encode("latin-1"))
    answer = dagrec("predict", f"run={trained.run}", "input=asked.jsonl")
    assert f"1 of 2 cannot be answered, so none is: {expected}" in answer.refusal
    answer = dagrec("predict", f"run={trained.run}", "input=asked.jsonl", "on_unknown=skip")
    assert (answer.code, answer.err) == (0, "1 of 2 have no answer but an error.\n")
    good, bad = map(json.loads, answer.out.splitlines())
    assert (len(good["services"]), good["context"]) == (5, [node])
    assert (bad["services"], bad["line"]) == ([], 2)
    assert f"line 2: {bad['error']}".startswith(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "ask for one thing"),
        (["context=[a]", "input=-"], "ask for one thing"),
        (["context=[a]", "top_k=0"], "top_k is 0"),
        (["context=[a]", "mask=maybe"], "mask is 'maybe'; use one of hard, none, or null."),
        (["context=[a]", "format=xml"], "format is 'xml'; use one of auto, table, json, csv."),
        (["input=a", "output=x.png"], "output is 'x.png', but a picture shows one composition"),
        (["context=[a]", "seed=7"], "no seed 7; it has 0, 1."),
        (["context=[NODE]", "output=."], "output is '.', a folder; name a file in it, or"),
        (["context=[NODE]", "output=file/x"], "cannot write file/x"),
        (["input=nowhere.jsonl"], "nowhere.jsonl: no such file; name one with input=FILE."),
        (["composition=."], ".: no file; name one with composition=FILE."),
        (["input=/dev/zero"], "/dev/zero: no file; name one with input=FILE."),
        (["composition=file"], "unknown node 'table_nowhere'"),
        (["context=[a]", "after=[a]"], "after names nodes of a composition"),
        (["context=[a]", "data=x"], "'data' has no options here; it has data.path."),
        (["contxt=[a]"], "did you mean context=[a]?"),
    ],
)
def test_a_mistake_is_one_line(
    trained: Any, dagrec: Dagrec, tmp_path: Path, words: list[str], expected: str
) -> None:
    nodes = [{"id": "nowhere"}, {"id": 2, "mid": 1}]
    links = [{"source": "nowhere", "target": 2}]
    (tmp_path / "file").write_text(json.dumps([{"nodes": nodes, "links": links}]))
    node = branching_node(trained.run)
    answer = dagrec("predict", f"run={trained.run}", *(w.replace("NODE", node) for w in words))
    assert expected in answer.refusal


def test_only_what_is_allowed_is_recommended(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    node, names = branching_node(trained.run), vocabulary_of(trained.run)["services"]
    ask = ("predict", f"run={trained.run}", f"context=[{node}]", "top_k=4")
    every = recommended(dagrec(*ask[:-1], "top_k=99").out)
    chosen = [names[k] for k in (1, 4, 6)]
    (tmp_path / "tools.txt").write_text("\n\n".join([*chosen, "sevrice_x"]))
    answer = dagrec(*ask, "allowed=tools.txt")
    assert recommended(answer.out) == {k: p for k, p in every.items() if k in chosen}
    assert list(recommended(answer.out)) == [name for name in every if name in chosen]
    others, few = answer.err.splitlines()
    assert others.startswith("allowed: 1 of 4 names stand for no service that the model can recomm")
    assert few == "top_k is 4, but only 3 services can be ranked."
    short = ",".join(name.removeprefix("service_") for name in chosen)
    again = dagrec(*ask, f"allowed=[{short}]", "top_k=3")
    assert (again.out, again.err) == (answer.out, "")
    refusal = dagrec(*ask, "allowed=[sevrice_x]").refusal
    assert "allowed: 1 of 1 name stand for no service that the model can recommend" in refusal
    refusal = dagrec(*ask, "allowed=nowhere.txt").refusal
    assert "nowhere.txt: no such file; name one with allowed=FILE." in refusal


def test_the_nearest_name_is_taken_and_said(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    node = branching_node(trained.run)
    (tmp_path / "asked.jsonl").write_text(f'["{node}"]\n["{node}x"]\n')
    answer = dagrec("predict", f"run={trained.run}", "input=asked.jsonl", "on_unknown=nearest")
    assert (answer.code, answer.err) == (0, "")
    known, nearest = answer.out.splitlines()
    assert recommended(known) == recommended(nearest)
    assert json.loads(nearest)["replaced"] == {f"{node}x": node}
    ask = ("predict", f"run={trained.run}", f"context=[{node}x]", "format=table")
    answer = dagrec(*ask, "on_unknown=nearest")
    assert answer.out.splitlines()[1] == f"  Not known: {node}x ({node} is taken)."


N8N = [{"name": "When", "type": "n.cron"}, {"name": "Get", "type": "n.http"}]


def test_a_composition_may_be_of_any_format(dagrec: Dagrec, tmp_path: Path) -> None:
    """Read as its format has it, or else as the data that the model learnt from were."""
    flows = []
    for last in ("n.set", "n.set", "n.mail"):
        nodes = [*N8N, {"name": "Then", "type": last}]
        links = {"When": {"main": [[{"node": "Get"}]]}, "Get": {"main": [[{"node": "Then"}]]}}
        flows.append({"nodes": nodes, "connections": links})
    (tmp_path / "flows.json").write_text(json.dumps(flows))
    dagrec("data", "convert", "data=n8n_workflows", "data.path=flows.json", "output=own.jsonl")
    own = (tmp_path / "own.jsonl").read_text().replace('"mid"', '"tool"')
    (tmp_path / "own.jsonl").write_text(own)
    words = ["model=markov", "hydra.run.dir=run", "data=compositions", "data.path=own.jsonl"]
    assert dagrec("train", *words, "data.service_key=tool").code == 0

    begun = {"nodes": N8N, "connections": {"When": {"main": [[{"node": "Get"}]]}}}
    (tmp_path / "begun.json").write_text(json.dumps(begun))
    link = [{"source": "n.cron", "target": 2}]
    nodes = [{"id": "n.cron"}, {"id": 2, "tool": "n.http"}]
    (tmp_path / "other.json").write_text(json.dumps({"nodes": nodes, "links": link}))
    expected = {"composition": 0, "after": "service_n.http", "contexts": 1, "known_to_follow": 2}
    run = dagrec_cli.load(tmp_path / "run")
    for name, node, form in (("begun", "Get", "n8n_workflows"), ("other", "2", "compositions")):
        answer = dagrec("predict", "run=run", f"composition={name}.json", "top_k=1")
        assert (answer.code, answer.err) == (0, ""), name
        assert json.loads(answer.out).items() >= {**expected, "node": node, "format": form}.items()
        for given in (tmp_path / f"{name}.json", (tmp_path / f"{name}.json").read_bytes()):
            (found,) = run.recommend_composition(given, k=1)
            assert answer_json(found) + "\n" == answer.out
    ask = ("predict", "run=run", "composition=begun.json", "top_k=1", "after=[When]")
    answer = dagrec(*ask, "format=table")
    assert answer.out.splitlines() == [
        "composition 0 (n8n_workflows), after table_n.cron (When)",
        "  service_n.http  1.0000  seen 3 times after table_n.cron",
    ]
    assert "begun.json: no node 'Whn'" in dagrec(*ask[:-1], "after=[Whn]").err
    assert (dagrec(*ask[:-1], "output=it.svg").out, dagrec(*ask[:-1], "output=it.png").out) == (
        "",
        "",
    )
    picture = (tmp_path / "it.svg").read_text()
    # In a narrow picture the words of the run go on in the next line.
    for text in ("What comes next: begun.json", "model=markov", "data=compositions", ">n.http<"):
        assert text in picture
    assert (tmp_path / "it.png").read_bytes().startswith(b"\x89PNG")
    answer = dagrec("predict", "run=run", "context=[n.cron]", "output=c.svg", "on_unknown=skip")
    assert ">n.http<" in (tmp_path / "c.svg").read_text()
    answer = dagrec("predict", "run=run", "composition=flows.json", "output=f.svg")
    assert "flows.json: 3 compositions, and a picture shows one" in answer.err

    alone = {"nodes": N8N[:1], "connections": {}}
    (found,) = run.recommend_composition(json.dumps(alone).encode(), k=1)
    assert (found.after, found.services[0].service) == ("table_n.cron", "service_n.http")
    looped = {**begun["connections"], "Get": {"main": [[{"node": "Get"}]]}}
    (found,) = run.recommend_composition(json.dumps({**begun, "connections": looped}).encode())
    assert (found.node, found.notes) == ("Get", ["Left out: links that close a cycle (1)."])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "it.json: no composition in it; give a file that holds one."),
        (
            "hello",
            "unexpected 'hello' .*looks like no format .* data=compositions",
        ),
        (
            '{"nodes": [1], "connections": {}}',
            r"it.json.nodes\[0\]: Expected `object`, got `int`\.",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(
    trained: Any, dagrec: Dagrec, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "it.json").write_text(text)
    answer = dagrec("predict", f"run={trained.run}", "composition=it.json")
    assert re.search(said, answer.refusal), answer.err


def test_why_says_what_was_counted_and_where(trained: Any, dagrec: Dagrec, tmp_path: Path) -> None:
    """The data are made up by their settings, so they are at hand."""
    node = branching_node(trained.run)
    ask = ("predict", f"run={trained.run}", f"context=[{node}]", "top_k=2", "why=true")
    answer = dagrec(*ask)
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    (counts,) = found["why"]["counts"]
    assert (counts["generations"], counts["nodes"]) == (1, [[node]])
    assert all(counts["then"][each["service"]] == each["seen"] for each in found["services"])
    earlier = found["why"]["earlier"]
    assert earlier["generations"] == 1
    assert 0 < earlier["steps"] < counts["seen"]  # split=paper shows edges of test pairs, too
    lines = dagrec(*ask, "format=table").out.splitlines()
    places = [example["composition"] for example in earlier["examples"]]
    assert f"  Counts, 1 generation ({node}): seen {counts['seen']} times, then" in "\n".join(lines)
    assert [line.split(",")[0].strip() for line in lines if "compositions[" in line] == places
    assert "why" not in json.loads(dagrec(*ask[:-1]).out)
    assert "data.path is for why=true" in dagrec(*ask[:-1], "data.path=x").err

    run = shutil.copytree(trained.run, tmp_path / "run")
    result = result_of(run)
    result["data"]["sha256"] = "0" * 64
    (run / "result.json").write_text(json.dumps(result))
    why = json.loads(dagrec("predict", "run=run", *ask[2:]).out)["why"]
    assert why["counts"] == found["why"]["counts"]
    assert why["not_shown"] == "the data are others than those that the model was trained on"
