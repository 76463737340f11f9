"""``dagrec serve``: what it answers, in process; that it starts, ends and says why it cannot."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from dagrec_cli.commands.serve import LEAST_SECONDS
from dagrec_cli.export import service
from dagrec_cli.export.service import app_of
from dagrec_cli.runs.model import named_run
from dagrec_cli.runs.recommend import Recommender

Dagrec = Callable[..., Any]

ROOT = Path(__file__).parents[2]
LINKS = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")]
ENDS = ("source", "target")
COMPOSITION = {
    "nodes": [{"id": 1, "mid": "a"}, {"id": 2, "mid": "b"}, {"id": 3, "mid": "d"}],
    "links": [{"source": 1, "target": 2}, {"source": 1, "target": 3}],
}
READY = 60  # seconds until a process answers, on a busy machine


class Reply(NamedTuple):
    status: int
    content: Any
    headers: dict[str, str]


Ask = Callable[..., Reply]
Chunks = list[bytes | None]  # None: nothing comes


@pytest.fixture(scope="module")
def folder(dagrec_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a model that counts; for reading only."""
    folder: Path = tmp_path_factory.mktemp("served")
    lines = [
        {
            "nodes": [{"id": x, "mid": x} for x in link],
            "links": [dict(zip(ENDS, link, strict=True))],
        }
        for link in LINKS
    ]
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    words = ["data=compositions", "data.path=data.jsonl", "model=markov", "hydra.run.dir=run"]
    assert dagrec_in(folder, ["train", *words]).code == 0
    return folder


@pytest.fixture
def recommender(folder: Path) -> Recommender:
    return Recommender(named_run(folder / "run", "serve"))


@pytest.fixture
def ask(recommender: Recommender) -> Ask:
    """A function of a path and what is sent there: what the app answers, without a network."""

    def call(
        path: str, content: object = None, *, chunks: Chunks | None = None, seconds: float = 5
    ) -> Reply:
        return asyncio.run(_call(app_of(recommender, seconds), path, content, chunks))

    return call


async def _call(app: Any, path: str, content: object, chunks: Chunks | None) -> Reply:
    is_get = content is None and chunks is None
    left: Chunks = [b"" if is_get else json.dumps(content).encode()] if chunks is None else chunks
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        if not left or (body := left.pop(0)) is None:
            return await asyncio.Event().wait()
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    where, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": "GET" if is_get else "POST",
        "path": where,
        "query_string": query.encode(),
        "headers": [(b"content-type", b"application/json")],
    }
    with suppress(RuntimeError):  # which the app has answered, and hands on
        await app(scope, receive, send)
    start, *parts = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    body = b"".join(part.get("body", b"") for part in parts)
    is_json = headers["content-type"] == "application/json"
    return Reply(start["status"], json.loads(body) if is_json else body.decode(), headers)


def test_answers_are_those_of_predict(dagrec: Dagrec, ask: Ask, folder: Path) -> None:
    told = dagrec("predict", f"run={folder / 'run'}", "context=[service_a,b]", "top_k=2").out
    reply = ask("/recommend", {"context": ["service_a", "b"], "k": 2})
    assert (reply.status, reply.content) == (200, {"answers": [json.loads(told)]})


def test_each_of_several_contexts_has_an_answer_or_its_error(ask: Ask) -> None:
    contexts = [["a"], ["nobody"], [], ["b"]]
    answers = ask("/recommend", {"contexts": contexts, "k": 1}).content["answers"]
    assert [len(answer["services"]) for answer in answers] == [1, 0, 0, 1]
    assert [answer["context"] for answer in answers] == contexts
    assert ["unknown node 'nobody'" in answer.get("error", "") for answer in answers] == [
        *(False, True, False, False)
    ]
    assert ask("/recommend", {"contexts": []}).content == {"answers": []}


def test_a_composition_is_answered_at_its_open_ends_or_where_one_likes(ask: Ask) -> None:
    answers = ask("/recommend", {"composition": COMPOSITION, "k": 1}).content["answers"]
    assert [answer["after"] for answer in answers] == ["service_b", "service_d"]
    (answer,) = ask("/recommend", {"composition": COMPOSITION, "after": ["1"]}).content["answers"]
    assert (answer["after"], answer["services"][0]["seen"]) == ("service_a", 1)
    text = json.dumps(COMPOSITION)
    assert ask("/recommend", {"composition": text, "k": 1}).content["answers"] == answers


def test_only_what_is_allowed_is_recommended(ask: Ask) -> None:
    reply = ask("/recommend", {"context": ["a"], "allowed": ["d", "zzz"]}).content
    assert [each["service"] for each in reply["answers"][0]["services"]] == ["service_d"]
    assert reply["notes"][0].startswith("allowed: 1 of 2 names stand for no service")


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        ({"context": ["nobody"]}, 422, "unknown node 'nobody'"),
        ({"context": []}, 422, "a context of 0 nodes"),
        ({}, 422, "give one of context, contexts and composition; "),
        (
            {"context": ["a"], "contexts": []},
            422,
            "give one of context, contexts and composition; ",
        ),
        ({"context": "a"}, 422, "context: Input should be a valid list."),
        (
            {"context": ["a"], "after": ["b"]},
            422,
            "give one of context, contexts and composition; ",
        ),
        ({"composition": {"nodes": [], "links": []}}, 422, "no link, so no step"),
        ({"composition": "a: [b"}, 422, "composition: "),
        ({"composition": COMPOSITION, "after": ["z"]}, 422, "no node 'z'"),
        ({"context": ["\ud800"]}, 422, "context.0: Input should be a valid string"),
        ({"context": ["a"], "k": 0}, 422, "k: Input should be greater than or equal to 1."),
        ({"context": ["a"], "k": "1"}, 422, "k: Input should be a valid integer."),
        ({"context": ["a"], "allowed": []}, 422, "allowed names no service."),
        ({"context": ["a"], "top_k": 1}, 422, "top_k: Extra inputs are not permitted."),
        ({"contexts": [["a"]] * 1001}, 422, "contexts: List should have at most 1000 items"),
        ([1], 422, "send a JSON object"),
    ],
)
def test_what_is_wrong_is_one_line(ask: Ask, content: object, status: int, said: str) -> None:
    reply = ask("/recommend", content)
    assert (reply.status, [*reply.content]) == (status, ["error"])
    assert reply.content["error"].startswith(said)
    assert "\n" not in reply.content["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 422, "no JSON: "),
        (b"[" * 200_000, 400, "There was an error parsing the body."),
        (b'{"k": %s}' % (b"9" * 5000), 400, "There was an error parsing the body."),
        (b" " * (service.LARGEST_BODY + 1), 413, "a body of more than 4,194,304 bytes."),
    ],
)
def test_a_body_that_is_none(ask: Ask, body: bytes, status: int, said: str) -> None:
    half = len(body) // 2
    reply = ask("/recommend", chunks=[body[:half], body[half:]])
    assert (reply.status, reply.content["error"][: len(said)]) == (status, said)


def test_answers_have_a_bounded_size(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_SERVICES", 5)
    assert ask("/recommend", {"contexts": [["a"]] * 2, "k": 2}).status == 200
    reply = ask("/recommend", {"contexts": [["a"]] * 2, "k": 3})
    assert (reply.status, "or 5 services in all of them" in reply.content["error"]) == (422, True)


def test_what_takes_too_long_is_ended(ask: Ask, recommender: Recommender) -> None:
    reply = ask("/recommend", chunks=[b"{", None], seconds=0.05)
    assert (reply.status, "within 0.05 seconds" in reply.content["error"]) == (503, True)
    with patch.object(service, "answer", lambda *_: time.sleep(0.2)):
        assert ask("/recommend", {"context": ["a"]}, seconds=0.05).status == 503
    question = service.Question(context=["a"])
    with pytest.raises(TimeoutError):  # or it would go on for nobody
        service.answer(recommender, question, seconds=-1)


def test_a_defect_is_one_line_of_the_log_and_no_traceback(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("two\nlines")

    with patch.object(service, "answer", broken):
        reply = ask("/recommend", {"context": ["a"]})
    assert reply.status == 500
    assert reply.content == {"error": "an error of the server, which its log names."}
    assert caplog.messages == ["POST /recommend: RuntimeError: two\\nlines"]
    assert caplog.records[0].exc_info is None


def test_it_says_what_it_is(ask: Ask) -> None:
    assert ask("/health").content == {"status": "ok"}
    about = ask("/model").content
    expected = {"run": "run", "model": "markov", "data": "compositions", "services": 3}
    assert about.items() >= expected.items()
    assert 0 <= about["metrics"]["accuracy"]["mean"] <= 1
    described = ask("/openapi.json").content
    assert described["paths"].keys() >= {"/recommend", "/model", "/health"}
    assert described["components"]["schemas"].keys() >= {"Question", "Answers", "Recommendation"}
    assert [ask(path).status for path in ("/docs", "/redoc", "/nothing")] == [404] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run is null; name a run folder: dagrec serve run="),
        (["run=nowhere"], "nowhere: no such folder"),
        (["run=run", "host=nowhere.invalid"], "cannot listen at host=nowhere.invalid"),
        (["run=run", "port=70000"], "port is 70000; use a whole number from 0 to 65535"),
    ],
)
def test_what_keeps_it_from_starting(
    dagrec_in: Any, folder: Path, words: list[str], said: str
) -> None:
    answer = dagrec_in(folder, ["serve", "port=0", *words])
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert said in answer.err


def test_a_port_that_is_taken(dagrec_in: Any, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = dagrec_in(folder, ["serve", "run=run", f"port={port}"])
    assert answer.code == 2
    assert f"port={port}: Address already in use; take another one" in answer.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_end_what_has_begun(
    dagrec_in: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    ports: Queue[int] = Queue()
    create = socket.create_server

    def listen(*words: Any, **settings: Any) -> socket.socket:
        listener = create(*words, **settings)
        ports.put(listener.getsockname()[1])
        return listener

    def press() -> Reply:
        body = b'{"context": ["a"], "k": 1}'
        with closing(HTTPConnection("127.0.0.1", ports.get(), timeout=READY)) as connection:
            connection.putrequest("POST", "/recommend")
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body[:1])
            time.sleep(0.4)
            os.kill(os.getpid(), number)
            time.sleep(0.4)
            connection.send(body[1:])
            reply = connection.getresponse()
            return Reply(reply.status, json.loads(reply.read()), {})

    monkeypatch.setattr(socket, "create_server", listen)
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as other:
        pressed = other.submit(press)
        answer = dagrec_in(folder, ["serve", "run=run", "port=0", "host=0.0.0.0"])
    signal.signal(signal.SIGTERM, before)
    reply = pressed.result()
    assert (reply.status, len(reply.content["answers"])) == (200, 1)
    assert answer.code == code
    warning, *rest = answer.err.splitlines()
    assert warning.startswith(
        "host=0.0.0.0 can be reached from other machines, and nobody is asked"
    )
    assert rest == ["dagrec serve: interrupted."] * (code == 130)
    assert answer.out.startswith("run at http://0.0.0.0:")


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_ctrl_c_ends_them_all(folder: Path) -> None:
    command = [sys.executable, "-m", "dagrec_cli", "serve", "run=run", "port=0", "workers=2"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=env, **pipes) as process:
        port = int(process.stdout.readline().rpartition(":")[2].split()[0])
        time.sleep(LEAST_SECONDS + 2)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in workers}
        servers = [int(pid) for pid, line in lines.items() if "spawn_main" in line]
        assert len(servers) == 2
        os.kill(servers[0], signal.SIGKILL)
        for _ in range(20):
            with closing(HTTPConnection("127.0.0.1", port, timeout=READY)) as connection:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=READY)
    assert process.returncode == 130
    assert told.splitlines() == [
        "dagrec serve: a worker died (exit code -9); another one is started.",
        "dagrec serve: interrupted.",
    ]
    assert not any(Path(f"/proc/{pid}").exists() for pid in servers)
