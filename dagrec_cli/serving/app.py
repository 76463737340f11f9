"""Recommendations over HTTP: what ``dagrec serve`` serves, whatever process runs it.

Every answer is JSON; what is wrong with a request is one line, ``{"error": ...}``. A request is
bounded in bytes, in what it asks for, and in seconds, so none can hold the others up for long.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dagrec_cli import __version__
from dagrec_cli.errors import DagrecError, one_line
from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.runs.folder import LOGGER
from dagrec_cli.runs.recommend import Recommender
from dagrec_cli.runs.result import Finished
from dagrec_cli.serving.requests import (
    Answers,
    Catalogue,
    Chosen,
    Error,
    FoundNodes,
    Kept,
    Question,
    answer,
    append,
    chosen_lines,
)

PAGE = Path(__file__).with_name("page.html")
ALONE = {  # headers with which a page loads nothing from elsewhere, and lies in no other page
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src "
    "'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
LARGEST_BODY = 2**22  # bytes
LONGEST_ERROR = 1_000  # characters
PORT = re.compile(r":\d*$")  # of a Host, behind its name
DEADLINE = "dagrec.deadline"  # in a request's scope: when it ends unanswered

SearchText = Annotated[str, Query(max_length=200, description="A part of the name.")]
SearchCount = Annotated[int, Query(ge=1, le=1_000, description="How many, at most.")]


def app_of(
    recommender: Recommender,
    seconds: float,
    chosen: Path | None,
    hosts: Sequence[str],
    explain: Explainer | None,
) -> FastAPI:
    """Return the app that serves a recommender; it computes in one thread, in turn.

    Parameters
    ----------
    seconds
        That a request may take.
    chosen
        File to which compositions are appended that are sent to be kept; None for none.
    hosts
        Names by which the server may be called, ``*`` for any: a page of another site could make
        a browser take its name for this machine.
    explain
        What says why to requests that ask; None for nothing.
    """
    (answers, found), schemas = msgspec.json.schema_components(
        [Answers, FoundNodes], ref_template="#/components/schemas/{name}"
    )
    app = FastAPI(
        title="dagrec",
        summary="The next service of a composition.",
        version=__version__,
        docs_url=None,  # their pages take scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(_Bounded, seconds=seconds, hosts=hosts)
    _say_errors(app)
    catalogue = Catalogue(recommender)
    thread = ThreadPoolExecutor(1, "recommend")

    async def computed(work: Callable[[], bytes]) -> Response:
        body = await asyncio.get_running_loop().run_in_executor(thread, work)
        return Response(body, media_type="application/json")

    @app.post("/recommend", responses={200: _described(answers), 422: {"model": Error}})
    async def recommend(question: Question) -> Response:
        """Recommend the services that follow a context, each of several, or a composition."""
        return await computed(partial(answer, recommender, explain, question, seconds))

    @app.get("/nodes", responses={200: _described(found)})
    async def nodes(text: SearchText = "", k: SearchCount = 20) -> Response:
        """Find nodes that the model knows by a part of their name; without one, the frequent."""
        return await computed(lambda: msgspec.json.encode(catalogue.search(text, k)))

    @app.post("/chosen", responses={404: {"model": Error}, 422: {"model": Error}})
    async def choose(made: Chosen, request: Request) -> Kept:
        """Keep what a user has made in the end, for a model to learn from it later."""
        if chosen is None:
            raise HTTPException(404, "nothing is kept here; start dagrec serve with chosen=FILE")
        n, lines = await asyncio.to_thread(chosen_lines, recommender, made)
        request.scope[DEADLINE].reschedule(None)  # what is kept is not answered with 503
        await asyncio.to_thread(append, chosen, lines)
        return Kept(compositions=n)

    offers = {"keeps_chosen": chosen is not None, "says_why": explain is not None}
    _say_what_it_is(app, {**_model_told(recommender), **offers})
    app.openapi()["components"]["schemas"].update(schemas)
    return app


def _model_told(recommender: Recommender) -> dict[str, Any]:
    """Return what a model is: names, sizes, figures of its run."""
    result, facts = recommender.run.result, recommender.model.facts
    return {
        "run": recommender.run.path.resolve().name,
        **{group: result.choices.get(group) for group in ("model", "data", "split")},
        "mask": recommender.model.mask,
        "nodes": len(facts.vocabulary.nodes),
        "services": facts.n_services,
        "reads_owner": bool(facts.vocabulary.owners),
        "metrics": result.metrics if isinstance(result, Finished) else {},
        "version": __version__,
    }


def _say_what_it_is(app: FastAPI, what: dict[str, Any]) -> None:
    """Add the requests that need no computing."""
    page = PAGE.read_text(encoding="utf-8")

    @app.get("/model")
    async def model() -> dict[str, Any]:
        """Say which model recommends, and how good it was."""
        return what

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that requests are answered."""
        return {"status": "ok"}

    @app.get("/", include_in_schema=False)
    async def try_it() -> HTMLResponse:
        return HTMLResponse(page, headers=ALONE)


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _say_errors(app: FastAPI) -> None:
    """Let every error be one line of JSON, and those that are ours one line of the log."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "json_invalid":
            return _problem(422, f"no JSON: {first['ctx']['error']} (character {place}).")
        if not place:
            return _problem(422, "send a JSON object, with Content-Type: application/json.")
        return _problem(422, f"{place}: {first['msg']}.")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, f"{error.detail}.")

    @app.exception_handler(DagrecError)
    async def wrong(request: Request, error: DagrecError) -> Response:
        return _problem(422, str(error))

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        where = f"{request.method} {request.url.path}"
        LOGGER.error("%s", one_line(f"{where}: {type(error).__name__}: {error}"))
        return _problem(500, "an error of the server, which its log names.")


def _problem(status: int, text: str) -> JSONResponse:
    return JSONResponse({"error": one_line(text, LONGEST_ERROR)}, status)


class _Bounded:
    """Lets no request be too large, nor last too long: to send, in its turn, to be answered.

    One that calls the server by a name that it does not have is not let in.
    """

    def __init__(self, app: ASGIApp, seconds: float, hosts: Sequence[str]) -> None:
        self.app = app
        self.seconds = seconds
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        n_bytes, is_begun = 0, False
        name = PORT.sub("", Headers(scope=scope).get("host", "").lower())
        if "*" not in self.hosts and name not in self.hosts:
            line = f"Host is {name!r}; this server is called {' or '.join(self.hosts)}."
            await _problem(400, line)(scope, receive, send)
            return

        async def take() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > LARGEST_BODY:
                raise HTTPException(413, f"a body of more than {LARGEST_BODY:,} bytes")
            return message

        async def begin(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            async with asyncio.timeout(self.seconds) as scope[DEADLINE]:
                await self.app(scope, take, begin)
        except TimeoutError:
            if not is_begun:  # else the connection is cut
                line = (
                    f"no answer within {self.seconds:g} seconds; ask for less at a time, or later."
                )
                await _problem(503, line)(scope, receive, send)
