"""An array read in pieces is the array read as a whole, and so is what is wrong with it."""

import io
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.readers import json_records
from dagrec_cli.data.readers.json_records import LARGEST, JsonArray, records
from dagrec_cli.errors import DataError

ROOT = Path(__file__).parents[3]
WHOLE = msgspec.json.Decoder(list[msgspec.Raw])
PATH = Path("x.json")
SAID = re.compile(r"^x.json: (.*) at line (\d+), column (\d+); fix it")

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
arrays = st.builds(
    lambda items, indent, bare: json.dumps(items, indent=indent, ensure_ascii=bare).encode(),
    st.lists(values, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
)


@pytest.fixture(params=[1, 3, 17, 2**18])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(json_records, "CHUNK", request.param)
    return int(request.param)


def pieces(text: bytes, chunk: int) -> list[bytes]:
    """The elements, read so many bytes at a time."""
    first = max(text.find(b"[") + 1, chunk)
    file = io.BufferedReader(io.BytesIO(text[first:]))  # type: ignore[arg-type]
    return [element.strip() for element in JsonArray(text[:first], file, PATH, 1, "numbers")]


@pytest.mark.parametrize("size", [1, 3, 17, 2**18])
@given(text=arrays)
def test_elements_are_those_of_the_whole(size: int, text: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_records, "CHUNK", size)
        assert pieces(text, size) == [bytes(raw) for raw in WHOLE.decode(text)]


def read_whole(text: bytes) -> list[bytes] | tuple[str, int, int]:
    """The elements by msgspec, or what it says, the line and the column."""
    try:
        return [bytes(raw) for raw in WHOLE.decode(text)]
    except msgspec.DecodeError as error:
        byte = re.search(r" \(byte (\d+)\)", str(error))
        before = text[: int(byte[1]) if byte else len(text)]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        said = re.sub(r" \(byte \d+\)", "", str(error))
        return said, before.count(b"\n") + 1, column


def read_in_pieces(text: bytes, chunk: int) -> list[bytes] | tuple[str, int, int]:
    try:
        return pieces(text, chunk)
    except DataError as error:
        said = SAID.match(str(error))
        return (said[1], int(said[2]), int(said[3])) if said else (str(error), 0, 0)


BROKEN = [
    *(
        b"[",
        b"[ \n",
        b"[,1]",
        b"[1,]",
        b"[1 2]",
        b"[1}",
        b"[1]]",
        b"[1] x",
        b"[1]\n\n {",
        b"[1,,2]",
    ),
    *(
        b"[1",
        b"[1.",
        b"[1.5e",
        b"[-]",
        b"[-",
        b"[tru",
        b"[trux]",
        b"[nul,1]",
        b'["\\u12',
        b'["\\x"]',
    ),
    *(
        b'[{"a":1',
        b'[{"a" 1}]',
        b'[{"a":1,}]',
        b"[1\n,2,\n  [3,\n}]",
        '[\n"é", \n "éé" 3]'.encode(),
    ),
    *(
        b'[{"a":[1,2,{"b":3]}]',
        b'["' + b"\xff\xfe" * 20 + b'", 1 2]',
        b"[1]",
        b"[]",
        b"[ ] ",
        b"[]]",
    ),
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_wrong_is_said_as_of_the_whole(text: bytes, chunk: int) -> None:
    assert read_in_pieces(text, chunk) == read_whole(text)


def test_damage_anywhere_is_said_as_of_the_whole(chunk: int) -> None:
    rng = random.Random(0)
    whole = json.dumps(
        [{"nodes": [{"id": k, "mid": 1.5, "n": "é\n[{"}], "x": [True, None, []]} for k in range(4)],
        indent=1,
        ensure_ascii=False,
    ).encode()
    for _ in range(300):
        text = bytearray(whole)
        for _ in range(rng.randrange(1, 3)):
            text[rng.randrange(1, len(text))] = rng.choice(b'[]{},:"\\ \n0-.etx\xc3')
        cut = bytes(text[: rng.randrange(len(text) // 2, len(text) + 1)])
        assert read_in_pieces(cut, chunk) == read_whole(cut), cut


@pytest.mark.parametrize("length", [LARGEST - 1, LARGEST + 1, 3 * LARGEST])
def test_no_element_is_longer_than_allowed(length: int) -> None:
    text = b'[1, "' + b"x" * (length - 3) + b'"]'  # with its quotes and the space before it
    if length <= LARGEST:
        assert list(map(len, pieces(text, 99))) == [1, length - 1]
    else:
        with pytest.raises(
            DataError, match=r"x\.json: compositions\[1\] is longer than 16,777,216"
        ):
            pieces(text, 99)


def test_a_first_line_longer_than_what_tells_the_format() -> None:
    """Spaces without end, and a line that begins after them."""
    for text, line in ((b" " * 2**17 + b"\n[1]", None), (b"\n" + b" " * 2**17 + b'{"a":1}\n', 2)):
        file = io.BufferedReader(io.BytesIO(text))  # type: ignore[arg-type]
        assert [(bytes(e).strip(), at) for e, at in records(file, PATH, "numbers")] == [
            (text.strip().removeprefix(b"[").removesuffix(b"]"), line)
        ]


MEASURE = """
import resource, sys
from dagrec_cli.data.readers.json_file import JsonFile
reader = JsonFile(
    path=sys.argv[1], default_path=None, download=None, table_mid_min=10,
    service_key="mid", owner_key="owner", time_key="start_time", end_key="end_time",
    on_cycle="error", on_invalid="error", context="path", max_paths=9, cache=False,
)
if len(sys.argv) > 2:
    sys.exit(print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
n = sum(1 for _ in reader.read())
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def compositions(size: int) -> Iterator[str]:
    nodes = [{"id": k, "mid": k % 10, "label": "a service of many letters"} for k in range(50)]
    links = [{"source": k, "target": k + 1} for k in range(49)]
    text = json.dumps({"nodes": nodes, "links": links})
    for k in range(size // len(text)):
        yield f"{',' if k else '['}{text}"
    yield "]"


def measured(*words: str) -> list[int]:
    command = [sys.executable, "-c", MEASURE, *words]
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("megabytes", [60, pytest.param(500, marks=pytest.mark.slow)])
def test_a_long_array_is_never_held(tmp_path: Path, megabytes: int) -> None:
    file = tmp_path / "long.json"
    with file.open("w") as text:
        text.writelines(compositions(megabytes * 2**20))
    (before,) = measured(str(file), "nothing")
    n, after = measured(str(file))
    assert n > 100 * megabytes
    assert after - before < 20_000  # KiB; the array alone has three times as much, and more
    file.unlink()
