"""Load for a running ``dagrec serve``: how fast it answers, and that nothing is lost or leaks.

    dagrec serve run=RUN chosen=/tmp/chosen.jsonl
    PYTHONPATH=tests python -m benchmarks.serving http://127.0.0.1:8000 PID [SECONDS OF MIXED LOAD]

PID is the server's, for its memory. Client and server share the machine's cores.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CONNECTIONS, BATCH, SECONDS, ROUNDS = 8, 100, 10.0, 3

Asked = tuple[str, bytes, int]  # path, body, and the status that must come back


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class Client:
    """One connection, kept open as long as the server keeps it."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._place = (str(parts.hostname), int(parts.port or 80))
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, body: bytes = b"", *, most: int | None = None) -> Reply:
        """Send a request, or only its first ``most`` bytes before leaving; return what came."""
        reader, writer = self._ends or await asyncio.open_connection(*self._place)
        self._ends = None
        head = (
            f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write((head.encode() + body)[:most])
        if most is not None:
            writer.close()
            return Reply(0, b"")
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(lines.partition("content-length: ")[2].partition("\r\n")[0])
        reply = Reply(int(lines.split()[1]), await reader.readexactly(size))
        if "connection: close" in lines:
            writer.close()
        else:
            self._ends = reader, writer
        return reply


async def walks(client: Client, n: int) -> list[list[str]]:
    """Return contexts of one to six nodes, each grown along what is recommended."""
    nodes = json.loads((await client.ask("/nodes?k=100")).body)["nodes"]
    contexts: list[list[str]] = []
    while len(contexts) < n:
        context = [random.choice(nodes)["name"]]
        for _ in range(random.randrange(6)):
            reply = await client.ask("/recommend", _json(context=context))
            found = json.loads(reply.body)["answers"][0]["services"]
            context = [*context, random.choice(found)["service"]]
        contexts.append(context)
    return contexts


def _json(**content: Any) -> bytes:
    return json.dumps(content).encode()


async def load(
    address: str, seconds: float, connections: int, draw: Callable[[], Asked]
) -> list[float]:
    """Ask on several connections for so long, each at once after the last; return the latencies."""
    end, latencies = monotonic() + seconds, list[float]()

    async def work() -> None:
        client = Client(address)
        while monotonic() < end:
            path, body, status = draw()
            start = perf_counter()
            if not status:
                await client.ask(path, body, most=random.randrange(60, 300))
                client = Client(address)
                continue
            reply = await client.ask(path, body)
            assert reply.status == status, (path, body[:200], reply)
            latencies.append(perf_counter() - start)

    works: list[Awaitable[None]] = [work() for _ in range(connections)]
    await asyncio.gather(*works)
    return latencies


def mixed(contexts: list[list[str]], told: Counter[str]) -> Callable[[], Asked]:
    """Return what draws good requests and bad ones."""

    def draw() -> Asked:
        context = random.choice(contexts)
        links = [[k, k + 1] for k in range(len(context))]
        chain = {"nodes": [*context, "service_new"], "links": links}
        kinds: dict[str, Asked] = {
            "context": ("/recommend", _json(context=context), 200),
            "contexts": ("/recommend", _json(contexts=random.choices(contexts, k=20)), 200),
            "composition": ("/recommend", _json(composition=chain, after=["0"]), 200),
            "chosen": ("/chosen", _json(composition=chain), 200),
            "search": (f"/nodes?text={context[0][8:11]}", b"", 200),
            "unknown": ("/recommend", _json(context=[f"x{random.random()}"]), 422),
            "no json": ("/recommend", b'{"context": [', 422),
            "wrong": ("/recommend", _json(context=context, k=-1), 422),
            "nowhere": ("/nothing", b"", 404),
            "left": ("/recommend", _json(context=context), 0),
        }
        name = random.choice([*kinds])
        told[name] += 1
        return kinds[name]

    return draw


def memory(pid: int) -> float:
    """Return the MiB that a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def main(address: str, pid: int, seconds: float) -> None:
    """Say how fast it answers; then load it for so long and say what it holds."""
    contexts = await walks(Client(address), 300)

    def single() -> Asked:
        return "/recommend", _json(context=random.choice(contexts)), 200

    def batch() -> Asked:
        return "/recommend", _json(contexts=random.choices(contexts, k=BATCH)), 200

    rates, slowest, batches = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        times = await load(address, SECONDS, CONNECTIONS, single)
        rates.append(len(times) / SECONDS)
        slowest.append(quantiles(times, n=100)[-1] * 1000)
        times = await load(address, SECONDS, 2, batch)
        batches.append(len(times) * BATCH / SECONDS)
    say = sys.stdout.write
    say(f"single {median(rates):.0f} requests/s, p99 {median(slowest):.0f} ms {rates} {slowest}\n")
    say(f"batches of {BATCH}: {median(batches):.0f} contexts/s {batches}\n")
    told = Counter[str]()
    for part in range(6):
        await load(address, seconds / 6, CONNECTIONS, mixed(contexts, told))
        say(f"part {part}: {told.total():,} requests, {memory(pid):.1f} MiB\n")
    say(f"{dict(told)}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
