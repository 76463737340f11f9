"""``dagrec serve``: what it answers, in process; that it starts, ends and says why it cannot."""

import asyncio
import json
import os
import re
import shutil
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
from threading import Thread
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from uvicorn import Config, Server

from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.runs.model import named_run
from dagrec_cli.runs.recommend import Recommender
from dagrec_cli.serving import app as app_module
from dagrec_cli.serving import requests
from dagrec_cli.serving.app import LARGEST_BODY, app_of
from dagrec_cli.serving.server import LEAST_SECONDS

Dagrec = Callable[..., Any]

ROOT = Path(__file__).parents[2]
ODD = "<b onclick=alert()>bold</b>"
LINKS = [("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("c", ODD)]
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
            "owner": "bob" if link[1] == "d" else "ann",
        }
        for link in LINKS
    ]
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (folder / "array.json").write_text("[]")
    words = ["data=compositions", "data.path=data.jsonl", "model=markov", "hydra.run.dir=run"]
    words += ["model.owner=prior", "split.test_share=0.2"]
    assert dagrec_in(folder, ["train", *words]).code == 0
    return folder


@pytest.fixture
def recommender(folder: Path) -> Recommender:
    return Recommender(named_run(folder / "run", "serve"))


@pytest.fixture
def ask(recommender: Recommender) -> Ask:
    """A function of a path and what is sent there: what the app answers, without a network."""

    def call(
        path: str,
        content: object = None,
        *,
        chunks: Chunks | None = None,
        seconds: float = 5,
        chosen: Path | None = None,
        host: str = "localhost:8000",
        explain: Explainer | None = None,
    ) -> Reply:
        app = app_of(recommender, seconds, chosen, ["localhost"], explain)
        return asyncio.run(_call(app, path, content, chunks, host))

    return call


async def _call(app: Any, path: str, content: object, chunks: Chunks | None, host: str) -> Reply:
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
        "headers": [(b"content-type", b"application/json"), (b"host", host.encode())],
    }
    with suppress(RuntimeError, OSError):  # which the app has answered, and hands on
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


def test_why_is_said_as_predict_says_it(
    dagrec: Dagrec, ask: Ask, recommender: Recommender, folder: Path
) -> None:
    words = (f"run={folder / 'run'}", "context=[a]", "owner=ann", "top_k=2", "why=true")
    told = json.loads(dagrec("predict", *words, f"data.path={folder / 'data.jsonl'}").out)
    assert told["why"]["earlier"]["steps"] > 0
    explain = recommender.explainer(True, folder / "data.jsonl")
    one = {"context": ["a"], "owner": "ann", "k": 2, "why": True}
    assert ask("/recommend", one, explain=explain).content == {"answers": [told]}
    many = ask("/recommend", {"contexts": [["a"]] * 22, "why": True}, explain=explain).content
    assert ["why" in answer for answer in many["answers"]] == [True] * 20 + [False] * 2
    assert many["notes"][-1] == "Why is said of the first 20 answers alone."
    assert ask("/model", explain=explain).content["says_why"] is True
    refused = ask("/recommend", one)
    said = '"why" is not answered here; start dagrec serve with why=true.'
    assert (refused.status, refused.content["error"]) == (422, said)


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
    names = {"nodes": ["a", "service_b", "d"], "links": [[0, 1], [0, 2]]}
    by_name = ask("/recommend", {"composition": names, "after": ["0"]}).content["answers"]
    assert by_name[0]["services"] == answer["services"]
    (alone,) = ask("/recommend", {"composition": {"nodes": ["a"], "links": []}}).content["answers"]
    assert alone["after"] == "service_a"
    text = json.dumps(COMPOSITION)
    assert ask("/recommend", {"composition": text, "k": 1}).content["answers"] == answers
    reply = ask("/recommend", {"composition": {"nodes": ["a"], "links": [[0, 1]]}})
    assert reply.content["error"] == "the link [0, 1] has an end that is none of 1 nodes."


def test_who_asks_decides_where_the_model_reads_owners(
    dagrec: Dagrec, ask: Ask, folder: Path
) -> None:
    def best(**asked: Any) -> str:
        (answer,) = ask("/recommend", asked).content["answers"]
        return str(answer["services"][0]["service"])

    assert [best(context=["a"], owner=owner) for owner in ("ann", "bob")] == [
        "service_b",
        "service_d",
    ]
    bobs = COMPOSITION | {"owner": "bob"}
    assert best(composition=bobs, after=["1"]) == "service_d"
    assert best(composition=bobs, after=["1"], owner="ann") == "service_b"
    told = dagrec("predict", f"run={folder / 'run'}", "context=[a]", "owner=bob", "top_k=1")
    assert json.loads(told.out)["services"][0]["service"] == "service_d"
    reply = ask("/recommend", {"context": ["a"], "owner": "eve"}).content
    assert reply["notes"] == ["owner 'eve' is none that the model knows."]


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
        (b" " * (LARGEST_BODY + 1), 413, "a body of more than 4,194,304 bytes."),
    ],
)
def test_a_body_that_is_none(ask: Ask, body: bytes, status: int, said: str) -> None:
    half = len(body) // 2
    reply = ask("/recommend", chunks=[body[:half], body[half:]])
    assert (reply.status, reply.content["error"][: len(said)]) == (status, said)


def test_answers_have_a_bounded_size(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_SERVICES", 5)
    assert ask("/recommend", {"contexts": [["a"]] * 2, "k": 2}).status == 200
    reply = ask("/recommend", {"contexts": [["a"]] * 2, "k": 3})
    assert (reply.status, "or 5 services in all of them" in reply.content["error"]) == (422, True)


def test_what_is_scored_in_one_go_is_bounded(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "NODES_AT_ONCE", 2)
    assert ask("/recommend", {"contexts": [["a", "b"]] * 2}).status == 200
    reply = ask("/recommend", {"context": ["a", "b", "c"]})
    assert reply.content == {"error": "more than 2 nodes in the paths to service_c."}


def test_what_takes_too_long_is_ended(ask: Ask, recommender: Recommender) -> None:
    reply = ask("/recommend", chunks=[b"{", None], seconds=0.05)
    assert (reply.status, "within 0.05 seconds" in reply.content["error"]) == (503, True)
    with patch.object(app_module, "answer", lambda *_: time.sleep(0.2)):
        assert ask("/recommend", {"context": ["a"]}, seconds=0.05).status == 503
    question = requests.Question(context=["a"])
    with pytest.raises(TimeoutError):  # or it would go on for nobody
        requests.answer(recommender, None, question, seconds=-1)


def test_a_defect_is_one_line_of_the_log_and_no_traceback(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("two\nlines")

    with patch.object(app_module, "answer", broken):
        reply = ask("/recommend", {"context": ["a"]})
    assert reply.status == 500
    assert reply.content == {"error": "an error of the server, which its log names."}
    assert caplog.messages == ["POST /recommend: RuntimeError: two\\nlines"]
    assert caplog.records[0].exc_info is None


def test_it_says_what_it_is(ask: Ask) -> None:
    assert ask("/health").content == {"status": "ok"}
    about = ask("/model").content
    expected = {"run": "run", "model": "markov", "data": "compositions", "services": 4}
    assert about.items() >= expected.items()
    assert 0 <= about["metrics"]["accuracy"]["mean"] <= 1
    described = ask("/openapi.json").content
    assert described["paths"].keys() >= {"/recommend", "/model", "/health"}
    assert described["components"]["schemas"].keys() >= {"Question", "Answers", "Recommendation"}
    assert [ask(path).status for path in ("/docs", "/redoc", "/nothing")] == [404] * 3


def test_only_who_calls_it_by_its_name_is_answered(ask: Ask) -> None:
    """Or a page of another site, whose name leads here, could ask through somebody's browser."""
    reply = ask("/health", host="elsewhere.example:8000")
    assert (reply.status, reply.content) == (
        400,
        {"error": "Host is 'elsewhere.example'; this server is called localhost."},
    )
    assert [ask("/health", host=name).status for name in ("LOCALHOST", "", "localhost.x")] == [
        *(200, 400, 400)
    ]


def test_nodes_are_found_by_a_part_of_their_name(ask: Ask) -> None:
    nodes = ask("/nodes").content["nodes"]
    assert nodes[0] == {"name": "service_a", "is_service": True, "links": 3}
    assert [node["name"] for node in ask("/nodes?text=BO").content["nodes"]] == [f"service_{ODD}"]
    assert ask("/nodes?k=1").content["nodes"] == nodes[:1]
    assert ask("/nodes?k=0").content["error"].startswith("k: Input should be greater than")


def test_what_is_chosen_is_kept_for_training(
    dagrec: Dagrec, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "chosen.jsonl"
    file.write_text(json.dumps(COMPOSITION))  # whose line has no end
    assert ask("/chosen", {"composition": COMPOSITION}).status == 404
    reply = ask("/chosen", {"composition": [COMPOSITION] * 2, "owner": "me"}, chosen=file)
    assert (reply.status, reply.content) == (200, {"compositions": 2})
    names = {"nodes": ["table_t", "new"], "links": [[0, 1]]}
    assert ask("/chosen", {"composition": names}, chosen=file).status == 200
    first, *kept = map(json.loads, file.read_text().splitlines())
    assert first == COMPOSITION
    assert [line.get("owner") for line in kept] == ["me", "me", None]
    assert abs(kept[0]["start_time"] - time.time()) < 60
    assert ask("/chosen", {"composition": {"nodes": [{"id": 1}]}}, chosen=file).status == 422
    told = dagrec("data", "validate", f"data.path={file}")
    assert (told.code, told.out) == (0, "compositions: 4, faults: none\n")

    before = file.read_bytes()  # now the disk is full
    monkeypatch.setattr(os, "pwrite", lambda to, lines, at: os.ftruncate(to, at + 5) or 5)
    assert ask("/chosen", {"composition": COMPOSITION}, chosen=file).status == 500
    assert file.read_bytes() == before


def test_what_is_kept_is_answered_so_and_what_is_not_is_not(ask: Ask, tmp_path: Path) -> None:
    """Whatever takes too long: to read what was made, or to write it."""
    file, content = tmp_path / "chosen.jsonl", {"composition": COMPOSITION}
    file.touch()
    for name, status, n_kept in (("chosen_lines", 503, 0), ("append", 200, 1)):
        plain = getattr(app_module, name)

        def slow(*given: Any, plain: Any = plain) -> Any:
            time.sleep(0.2)
            return plain(*given)

        with patch.object(app_module, name, slow):
            assert ask("/chosen", content, chosen=file, seconds=0.1).status == status
        assert len(file.read_text().splitlines()) == n_kept


def test_the_page_loads_nothing_from_elsewhere(ask: Ask) -> None:
    reply = ask("/")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert set(re.findall(r"\w+://[^\"]+", reply.content)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in reply.content  # names are a stranger's


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_builds_a_composition(recommender: Recommender, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api", reason="browser: pip install playwright")
    if not (chromium := shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("browser: install Chromium")
    file = tmp_path / "chosen.jsonl"
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    explain = recommender.explainer(True)
    app = app_of(recommender, 5, file, ["127.0.0.1"], explain)
    server = Server(Config(app, log_config=None))
    thread = Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        with sync_api.sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for width, scheme in ((1280, "light"), (390, "dark")):
                page = browser.new_page(
                    viewport={"width": width, "height": 844}, color_scheme=scheme
                )
                _build(page, f"http://127.0.0.1:{port}/", sync_api.expect)
            browser.close()
    finally:
        server.should_exit = True
        thread.join()
    wanted = {("a", "b"), ("a", "d"), ("b", "d"), ("d", ODD)}
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    for line in kept:
        name = {node["id"]: node["mid"] for node in line["nodes"]}
        assert {(name[each["source"]], name[each["target"]]) for each in line["links"]} == wanted
    assert [line.get("owner") for line in kept] == ["me", "me"]


def _build(page: Any, address: str, expect: Any) -> None:
    """Build a composition with the keyboard, but for what has none; keep it."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on(
        "request", lambda request: problems.extend([request.url] * (address not in request.url))
    )
    title, choices, nodes = (
        page.locator("#title"),
        page.locator("#choices b"),
        page.locator(".node"),
    )

    def take(name: str) -> None:
        expect(choices.filter(has_text=name).first).to_be_visible()
        page.keyboard.press(str(choices.all_text_contents().index(name) + 1))
        expect(title).to_have_text(f"After {name}")

    page.goto(address)
    expect(page.locator("#model")).to_contain_text("markov on compositions: 4 services")
    take("a")
    page.click("#why summary")
    expect(page.locator("#reasons li").first).to_have_text(re.compile("after a: seen 3×: .*b 1×"))
    take("b")
    expect(page.locator("#reasons li").nth(1)).to_have_text("after b: never seen")
    nodes.nth(1).focus()
    page.keyboard.press("ArrowUp")
    expect(title).to_have_text("After a")
    take("d")
    page.select_option("#input", label="b (2)")
    expect(page.locator(".link")).to_have_count(3)
    page.keyboard.press("Delete")
    expect(nodes).to_have_count(2)
    page.click("#undo")
    expect(nodes).to_have_count(3)
    expect(page.locator(".node[aria-pressed=true]")).to_have_attribute(
        "aria-label", "d, after a and b"
    )
    page.keyboard.press("/")
    page.keyboard.type("BOLD")
    page.locator("#found button").first.press("Enter")
    expect(title).to_have_text(f"After {ODD}")
    expect(page.locator("#notes")).to_contain_text("No service is known to follow")
    assert page.evaluate("document.documentElement.scrollWidth === innerWidth")
    page.fill("#owner", "me")
    page.click("#keep")
    expect(page.locator("#told")).to_have_text("Kept. Undo brings it back to go on with.")
    assert problems == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run is null; name a run folder: dagrec serve run="),
        (["run=nowhere"], "nowhere: no such folder"),
        (["run=run", "host=nowhere.invalid"], "cannot listen at host=nowhere.invalid"),
        (["run=run", "chosen=run"], "chosen is 'run', a folder; name a plain file."),
        (["run=run", "chosen=array.json"], "array.json', which holds no JSON Lines;"),
        (["run=run", "port=70000"], "port is 70000; use a whole number from 0 to 65535"),
    ],
)
def test_what_keeps_it_from_starting(
    dagrec_in: Any, folder: Path, words: list[str], said: str
) -> None:
    assert said in dagrec_in(folder, ["serve", "port=0", *words]).refusal


def test_without_its_extra_it_says_how_to_get_it(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = dagrec("serve", "run=run")
    assert answer.refusal.startswith('dagrec serve: the extra "serve" is missing (fastapi); ')


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
        body = b'{"context": ["a"], "k": 1, "why": true}'
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
        answer = dagrec_in(folder, ["serve", "run=run", "port=0", "host=0.0.0.0", "why=true"])
    signal.signal(signal.SIGTERM, before)
    reply = pressed.result()
    assert reply.status == 200
    assert reply.content["answers"][0]["why"]["earlier"]["steps"] > 0
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
