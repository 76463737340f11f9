import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid

Task = dict[str, Any]


def read(config: Any, path: Path) -> list[Composition | Invalid]:
    return list(build(config("data", "wfcommons", path=str(path)), "data").read())


def read_one(config: Any, tmp_path: Path, workflow: Any, **about: Any) -> Composition | Invalid:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps({"name": "flow", "workflow": workflow, **about}))
    (item,) = read(config, path)
    return item


def task(name: str, **fields: Any) -> Task:
    return {"name": name, "type": "compute", **fields}


def by_version(version: str) -> Task:
    """``split`` feeds ``map`` twice, which feed ``merge``, as each version says it."""
    names = ["split_ID0000001", "map_ID0000002", "map_ID0000003", "merge_ID0000004"]
    if version == "1.2":
        parents: list[list[str]] = [[], names[:1], names[:1], names[1:3]]
        return {"jobs": [task(n, parents=p) for n, p in zip(names, parents, strict=True)]}
    if version == "1.4":
        children: list[list[str]] = [names[1:3], names[3:], names[3:], []]
        ids = ["ID0000001", "ID0000002", "ID0000003", "ID0000004"]
        return {
            "tasks": [
                task(n, id=i, children=c, category=n.split("_")[0])
                for n, i, c in zip(names, ids, children, strict=True)
            ]
        }
    ids = ["a.split_1", "a.map_2", "a.map_3", "a.merge_4"]
    parents = [[], ids[:1], ids[:1], ids[1:3]]
    children = [ids[1:3], ids[3:], ids[3:], []]
    return {
        "specification": {
            "tasks": [
                task("map" if "map" in i else i, id=i, parents=p, children=c)
                for i, p, c in zip(ids, parents, children, strict=True)
            ]
        },
        "execution": {
            "tasks": [
                {"id": i, "command": {"program": f"/bin/{n.split('_')[0]}", "arguments": []}}
                for i, n in zip(ids, names, strict=True)
            ]
        },
    }


@pytest.mark.parametrize("version", ["1.2", "1.4", "1.5"])
def test_all_versions_say_the_same(config: Any, tmp_path: Path, version: str) -> None:
    item = read_one(config, tmp_path, by_version(version))
    assert isinstance(item, Composition), item
    assert item.names == ("service_split", "service_map", "service_map", "service_merge")
    assert item.is_service == (True,) * 4
    assert set(item.links) == {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert item.place == "flow.json"


ABOUT = {"createdAt": "1970-01-03T00:00:00", "author": {"name": "Ada", "email": "a@b.c"}}


@pytest.mark.parametrize(
    ("version", "fields", "start", "end"),
    [
        ("1.2", {"executedAt": "1970-01-02T00:00:00Z", "makespan": 9}, 86_400, 86_409),
        ("1.4", {"executedAt": "19700102T000000+0000"}, 86_400, None),
        (
            "1.5",
            {"execution": {"executedAt": "1970-01-02", "makespanInSeconds": 0.5}},
            86_400,
            86_400.5,
        ),
        ("1.5", {"execution": {"makespanInSeconds": 9}}, 172_800, None),
        ("1.5", {"execution": {"executedAt": "01-02-20T00:00:00Z"}}, 1_577_923_200, None),
    ],
)
def test_owner_and_times(
    config: Any,
    tmp_path: Path,
    version: str,
    fields: dict[str, Any],
    start: float,
    end: float | None,
) -> None:
    item = read_one(config, tmp_path, {**by_version(version), **fields}, **ABOUT)
    assert isinstance(item, Composition)
    assert (item.owner, item.start_time, item.end_time) == ("Ada", start, end)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("individuals_merge_ID0000011", "individuals_merge"),
        ("blastall_000041", "blastall"),
        ("bowtie2", "bowtie2"),
        ("fasterq-dump_ID1", "fasterq-dump"),
        ("NFCORE_RNASEQ.RNASEQ.ALIGN_STAR.STAR_ALIGN_14", "STAR_ALIGN"),
        ("NFCORE_RNASEQ:RNASEQ:CAT_FASTQ", "CAT_FASTQ"),
        ("cut.sh_3", "cut.sh"),
        ("_7", "_7"),
    ],
)
def test_a_name_without_the_number_of_its_instance(
    config: Any, tmp_path: Path, name: str, expected: str
) -> None:
    tasks = [task(name), task("end", parents=[name])]
    item = read_one(config, tmp_path, {"tasks": tasks})
    assert isinstance(item, Composition)
    assert item.names == (f"service_{expected}", "service_end")


def test_what_names_a_task_must_name_all(config: Any, tmp_path: Path) -> None:
    def names(*tasks: Task) -> tuple[str, ...]:
        item = read_one(config, tmp_path, {"tasks": list(tasks)})
        assert isinstance(item, Composition)
        return item.names

    first, second = task("A_1"), task("B_2", parents=["A_1"])
    run = {"command": {"program": "python"}}
    script = {"command": {"program": "cat x |\n sort"}}
    assert names({**first, **run}, {**second, **run}) == ("service_python",) * 2
    assert names({**first, **run}, {**second, **script}) == ("service_A", "service_B")
    assert names({**first, "category": "c"}, {**second, **run}) == ("service_A", "service_B")


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        ({"tasks": [task("a"), task("b", parents=["c", "a"], children=["d"])]},
         ["tasks[1].parents[0]: unknown task 'c'; name the id of a task",
          "tasks[1].children[0]: unknown task 'd'; name the id of a task"]),
        ({"jobs": [task("a"), task("a")]},
         ["jobs[1]: 'a' also names [0]; a name names one of them"]),
        # two tasks of one name: which one is meant cannot be told
        ({"tasks": [task("a", id="1"), task("a", id="2"), task("b", parents=["a"])]},
         ["tasks[2].parents[0]: unknown task 'a'; name the id of a task"]),
        ({"tasks": [task("a")], "executedAt": "13-13-20T00:00:00Z"},
         ["executedAt: unreadable date '2020-13-13T00:00:00Z'; use ISO 8601, such as "
          "2020-03-16T12:24:15Z, or seconds since 1970, of the years 1 to 9999"]),
        ({"tasks": [task("a")], "executedAt": 0, "makespan": 1e300},
         [", with its makespan: unreadable date '1e+300'; use ISO 8601, such as "
          "2020-03-16T12:24:15Z, or seconds since 1970, of the years 1 to 9999"]),
        ({"specification": {"tasks": [task("a"), {"id": "b"}]}},
         ["specification.tasks[1]: Object missing required field `name`"]),
    ],
)  # fmt: skip
def test_faults_name_file_and_task(
    config: Any, tmp_path: Path, workflow: Any, expected: list[str]
) -> None:
    item = read_one(config, tmp_path, workflow)
    assert isinstance(item, Invalid)
    assert [str(fault) for fault in item.faults] == [
        f"flow.json.workflow{'' if e[0] == ',' else '.'}{e}" for e in expected
    ]


@pytest.mark.real
def test_the_instances_of_wfcommons(config: Any) -> None:
    """Against plain lines of json; the programs of 1000genome are those of its paper."""
    folder = Path(os.environ["DAGREC_DATA_DIR"], "wfcommons")
    items = {}
    for item in read(config, folder):
        assert isinstance(item, Composition)
        items[item.place] = item
        tasks = json.loads((folder / item.place).read_text())["workflow"]["specification"]["tasks"]
        links = {(parent, task["id"]) for task in tasks for parent in task["parents"]}
        assert {(item.ids[source], item.ids[target]) for source, target in item.links} == links
        assert item.ids == [task["id"] for task in tasks]
        assert item.owner is None
    assert len(items) == 8
    assert Counter(items["1000genome-chameleon-2ch-100k-001.json"].names) == {
        "service_individuals": 20,
        "service_individuals_merge": 2,
        "service_sifting": 2,
        "service_mutation_overlap": 14,
        "service_frequency": 14,
    }
    starts = {  # by `date -u +%s` of what the files call executedAt
        "1000genome-chameleon-2ch-100k-001.json": 1_585_713_043,  # 20200401T035043+0000
        "scrnaseq-dirt02-001.json": 1_679_988_240,  # 2023-03-27T21:24:00-10:00
        "srasearch-chameleon-10a-004.json": 1_608_430_311,  # 12-20-20T02:11:51Z
    }
    assert {name: items[name].start_time for name in starts} == starts
    spans = [(item.end_time or 0) - (item.start_time or 0) for item in items.values()]
    assert list(map(round, spans)) == [776, 1_987, 903, 661, 2_126, 5_488, 7_576, 10_492]
    assert "service_STAR_ALIGN" in items["scrnaseq-dirt02-001.json"].names
