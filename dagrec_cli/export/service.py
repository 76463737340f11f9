"""Recommendations over HTTP: what ``dagrec serve`` serves, whatever process runs it.

Every answer is JSON; what is wrong with a request is one line, ``{"error": ...}``. A request is
bounded in bytes, in what it asks for, and in seconds, so none can hold the others up for long.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dagrec_cli import __version__
from dagrec_cli.data.queries import Asked
from dagrec_cli.errors import DagrecError, DataError, one_line
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.runs.folder import LOGGER
from dagrec_cli.runs.recommend import Recommender
from dagrec_cli.runs.result import Finished

LARGEST_BODY = 2**22  # bytes
MOST_ANSWERS = 1_000  # of one request
MOST_SERVICES = 100_000  # of all its answers together
LONGEST_ERROR = 1_000  # characters

NodeName = Annotated[str, Field(max_length=10_000)]


class Question(BaseModel, extra="forbid"):
    """What is to be recommended: one of ``context``, ``contexts`` and ``composition``."""

    context: list[NodeName] | None = Field(
        None,
        description="Nodes walked so far, by name.",
        examples=[["table_1002132", "service_308"]],
    )
    contexts: list[list[NodeName]] | None = Field(
        None, max_length=MOST_ANSWERS, description="Several of these; each is answered apart."
    )
    composition: dict[str, Any] | list[Any] | str | None = Field(
        None,
        description="One or more compositions in any format that dagrec reads, YAML as a string; "
        "there is an answer for each node that no link leaves.",
        examples=[
            {
                "nodes": [{"id": 1, "mid": "clean"}, {"id": 2, "mid": "plot"}],
                "links": [{"source": 1, "target": 2}],
            }
        ],
    )
    after: list[NodeName] = Field(
        [], description="Ids or names of the composition's nodes to go on from instead."
    )
    k: int = Field(5, ge=1, le=MOST_SERVICES, strict=True, description="Services of an answer.")
    allowed: list[NodeName] | None = Field(
        None, description="Names of the services that may be recommended; null: all."
    )
    on_unknown: Literal["error", "nearest", "model"] = Field(
        "error",
        description="What an unknown name stands for: nothing, so that there is no answer; the "
        "name nearest to it; the model's UNKNOWN node. The answer says what was taken.",
    )


class Answers(msgspec.Struct, omit_defaults=True):
    """Answers in the order in which they were asked for, and what one has to know of all."""

    answers: list[Answer]
    notes: list[str] = []


class Error(BaseModel):
    """What is wrong, in one line."""

    error: str


def answer(recommender: Recommender, question: Question, seconds: float) -> bytes:
    """Return the JSON of :class:`Answers`.

    Raises
    ------
    DataError
        If the question is wrong, or the only thing that it asks cannot be answered.
    TimeoutError
        If it takes more than so many seconds.
    """
    end, k = monotonic() + seconds, min(question.k, recommender.model.facts.n_services)

    def bounded(asked: Iterable[Asked]) -> Iterator[Asked]:
        for n, each in enumerate(asked, start=1):
            if n > MOST_ANSWERS or n * k > MOST_SERVICES:
                raise DataError(
                    f"more than {MOST_ANSWERS:,} answers, or {MOST_SERVICES:,} services in all of "
                    "them; ask for fewer at a time."
                )
            if monotonic() > end:
                raise TimeoutError
            yield each

    choice = recommender.choice(k, question.allowed)
    answers = list(recommender.answers(bounded(_questions(recommender, question)), choice))
    if question.contexts is None and len(answers) == 1 and answers[0].error:
        raise DataError(f"{answers[0].error}.")
    return msgspec.json.encode(Answers(answers, choice.notes))


def _questions(recommender: Recommender, question: Question) -> Iterable[Asked]:
    match question:
        case Question(context=list(names), contexts=None, composition=None, after=[]):
            return [recommender.context(names, question.on_unknown)]
        case Question(context=None, contexts=list(several), composition=None, after=[]):
            return (recommender.context(names, question.on_unknown) for names in several)
        case Question(context=None, contexts=None, composition=given) if given is not None:
            text = given if isinstance(given, str) else json.dumps(given)
            return recommender.composition(text.encode(), question.on_unknown, question.after)
    raise DataError("give one of context, contexts and composition; after goes with the last.")


def about(recommender: Recommender) -> dict[str, Any]:
    """Return what a model is: names, sizes, figures of its run."""
    result, facts = recommender.run.result, recommender.model.facts
    return {
        "run": recommender.run.path.resolve().name,
        **{group: result.choices.get(group) for group in ("model", "data", "split")},
        "mask": recommender.model.mask,
        "nodes": len(facts.vocabulary.nodes),
        "services": facts.n_services,
        "metrics": result.metrics if isinstance(result, Finished) else {},
        "version": __version__,
    }


def app_of(recommender: Recommender, seconds: float) -> FastAPI:
    """Return the app that serves a recommender; it computes in one thread, in turn.

    Parameters
    ----------
    seconds
        That a request may take.
    """
    (schema,), schemas = msgspec.json.schema_components(
        [Answers], ref_template="#/components/schemas/{name}"
    )
    described = {"content": {"application/json": {"schema": schema}}}
    app = FastAPI(
        title="dagrec",
        summary="The next service of a composition.",
        version=__version__,
        docs_url=None,  # their pages take scripts from elsewhere
        redoc_url=None,
    )
    app.add_middleware(_Bounded, seconds=seconds)
    _say_errors(app)
    thread = ThreadPoolExecutor(1, "recommend")

    @app.post("/recommend", responses={200: described, 422: {"model": Error}})
    async def recommend(question: Question) -> Response:
        """Recommend the services that follow a context, each of several, or a composition."""
        work = partial(answer, recommender, question, seconds)
        found = await asyncio.get_running_loop().run_in_executor(thread, work)
        return Response(found, media_type="application/json")

    @app.get("/model")
    async def model() -> dict[str, Any]:
        """Say which model recommends, and how good it was."""
        return about(recommender)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Say that requests are answered."""
        return {"status": "ok"}

    app.openapi()["components"]["schemas"].update(schemas)
    return app


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
    """Lets no request be too large, nor last too long: to send, in its turn, to be answered."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        n_bytes, is_begun = 0, False

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
            async with asyncio.timeout(self.seconds):
                await self.app(scope, take, begin)
        except TimeoutError:
            if not is_begun:  # else the connection is cut
                line = (
                    f"no answer within {self.seconds:g} seconds; ask for less at a time, or later."
                )
                await _problem(503, line)(scope, receive, send)
