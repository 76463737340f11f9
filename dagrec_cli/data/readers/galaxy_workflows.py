"""Galaxy workflows: a folder of ``.ga`` files, each one composition.

A step with a tool is a service, named by the tool's short id; an input step is a table, named by
its type. The links are the ``input_connections``. A subworkflow is expanded in place: what feeds
the outer step feeds the steps that read its inner inputs, and what reads an output of the outer
step reads the inner step behind the output's label. An inner input that nothing feeds stays a
table. The condition of a subworkflow (its connection ``when``) feeds the inner steps that come
first.

A fault's place is file and step, ``rnaseq.ga.steps[24].subworkflow.steps[3]``.

Source: the exports of github.com/galaxyproject/iwc.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import accumulate, compress

import msgspec

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Fault,
    Invalid,
    Shard,
)
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.galaxy import short_id
from dagrec_cli.data.readers.galaxy_links import CircleError, TooManyLinksError, named_links
from dagrec_cli.data.readers.json_keys import repeated_key

TOOL, SUBWORKFLOW = "tool", "subworkflow"
INPUTS = ("data_input", "data_collection_input", "parameter_input")
CONDITION = "when"
LONGEST = 2**24  # bytes of a file


class _Connection(msgspec.Struct):
    id: int
    output_name: str
    input_subworkflow_step_id: int | None = None


class _Output(msgspec.Struct):
    output_name: str
    label: str | None = None


class _Workflow(msgspec.Struct):
    steps: dict[int, msgspec.Raw]  # decoded one by one, so that a fault can name its step


class _Step(msgspec.Struct):
    type: str
    tool_id: str | None = None
    input_connections: dict[str, _Connection | list[_Connection]] = {}
    workflow_outputs: list[_Output] = []
    subworkflow: _Workflow | None = None

    def sources(self) -> Iterator[tuple[str, _Connection]]:
        """Yield each connection with the name of the input it feeds."""
        for name, found in self.input_connections.items():
            for connection in found if isinstance(found, list) else [found]:
                yield name, connection


_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_WORKFLOW = msgspec.json.Decoder(_Workflow)
_STEP = msgspec.json.Decoder(_Step)


class GalaxyWorkflows(Reader):
    """Galaxy workflows, each in a file."""

    holds = "a Galaxy workflow (.ga)"
    suffixes = (".ga",)

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of a file."""
        text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            yield Invalid((Fault(shard.name, f"longer than {LONGEST:,} bytes"),))
        else:
            yield _composition(text, shard.name)


def _composition(text: bytes, place: str) -> Composition | Invalid:
    expansion = _Expansion(place)
    try:
        workflow = _WORKFLOW.decode(text)
        if found := repeated_key(text):
            return Invalid((Fault(place + found.place, found.problem),))
        expansion.add(workflow, place)
    except _BROKEN as error:
        return Invalid((_decoding_fault(error, place),))
    return expansion.composition()


def _decoding_fault(error: Exception, place: str) -> Fault:
    problem, _, path = str(error).partition(" - at `$")
    return Fault(place + path.removesuffix("`"), problem)


@dataclass
class _Part:
    """One workflow of the expansion, as the steps around it see it."""

    node: dict[int, int] = field(default_factory=dict)  # of each tool and input step
    inner: dict[int, "_Part"] = field(default_factory=dict)  # of each subworkflow step
    outputs: dict[str, int | None] = field(default_factory=dict)  # node behind each label
    nodes: range = range(0)  # all of its own, those further in included

    def source(self, step: int, output: str) -> int | None:
        """Return the node that makes a step's output, None if there is no such output."""
        return self.inner[step].outputs.get(output) if step in self.inner else self.node.get(step)


class _Expansion:
    """Nodes and links of a workflow and of everything inside it.

    An inner input that is fed from outside is a node without a name until the end, when what feeds
    it is linked to what reads it.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[int, int]] = []
        self.conditions: list[tuple[int, range]] = []  # a node, and the nodes that wait for it
        self.faults: list[Fault] = []

    def add(self, workflow: _Workflow, place: str, fed: Set[int | None] = frozenset()) -> _Part:
        """Add a workflow whose input steps ``fed`` are fed from outside."""
        part, first = _Part(), len(self.names)
        steps = self._decode(workflow, place)
        for k, (step, at) in steps.items():
            if step.subworkflow:
                inputs = {connection.input_subworkflow_step_id for _, connection in step.sources()}
                part.inner[k] = self.add(step.subworkflow, f"{at}.subworkflow", inputs)
            else:
                part.node[k] = self._add_node(step, at, is_fed=k in fed)
        part.nodes = range(first, len(self.names))
        for k, (step, at) in steps.items():
            for name, connection in step.sources():
                if problem := self._connect(part, k, name, connection):
                    self.faults.append(Fault(f"{at}.input_connections[{name!r}]", problem))
        part.outputs = {
            output.label or f"{k}:{output.output_name}": part.source(k, output.output_name)
            for k, (step, _) in steps.items()
            for output in step.workflow_outputs
        }
        return part

    def composition(self) -> Composition | Invalid:
        """Return the composition of all nodes that have a name."""
        if self.faults:
            return Invalid(tuple(self.faults))
        try:
            links = named_links(self.names, self.links, self.conditions)
        except TooManyLinksError as error:
            return Invalid((Fault(self.file, str(error)),))
        except CircleError as error:
            place = f"{self.file}.{self.ids[error.node]}"
            problem = "fed by itself, through inputs of subworkflows alone"
            return Invalid((Fault(place, problem),))
        names = tuple(filter(None, self.names))
        position = list(accumulate(map(bool, self.names), initial=0))  # without the nameless
        return Composition(
            names,
            tuple(name.startswith(PREFIX_SERVICE) for name in names),
            tuple((position[source], position[target]) for source, target in links),
            place=self.file,
            ids=list(compress(self.ids, self.names)),
        )

    def _decode(self, workflow: _Workflow, place: str) -> dict[int, tuple[_Step, str]]:
        """Return each step with its place, those that cannot be decoded left out."""
        steps = {}
        for k in sorted(workflow.steps):
            at = f"{place}.steps[{k}]"
            try:
                steps[k] = (_STEP.decode(workflow.steps[k]), at)
            except _BROKEN as error:
                self.faults.append(_decoding_fault(error, at))
        return steps

    def _add_node(self, step: _Step, at: str, *, is_fed: bool) -> int:
        name = ""
        if step.type == TOOL and step.tool_id:
            name = PREFIX_SERVICE + short_id(step.tool_id)
        elif step.type == TOOL:
            self.faults.append(Fault(at, "no tool_id; a step of type tool must name its tool"))
        elif step.type == SUBWORKFLOW:
            self.faults.append(Fault(at, "no subworkflow; export the workflow with what it embeds"))
        elif step.type not in INPUTS:
            known = ", ".join([TOOL, SUBWORKFLOW, *INPUTS])
            self.faults.append(Fault(f"{at}.type", f"unknown type {step.type!r}; known: {known}"))
        elif not is_fed:
            name = PREFIX_TABLE + step.type
        self.names.append(name)
        self.ids.append(at.removeprefix(f"{self.file}."))
        return len(self.names) - 1

    def _connect(self, part: _Part, k: int, name: str, connection: _Connection) -> str | None:
        """Link what a connection names to step ``k``, or return why that cannot be."""
        source = part.source(connection.id, connection.output_name)
        if source is None:
            unknown = f"{connection.id}: {connection.output_name}"
            return (
                f"unknown source {unknown!r}; name a step, and a subworkflow's output by its label"
            )
        if k in part.node:
            self.links.append((source, part.node[k]))
            return None
        inner, inner_input = part.inner[k], connection.input_subworkflow_step_id
        if inner_input in inner.node:
            self.links.append((source, inner.node[inner_input]))
        elif name == CONDITION:
            self.conditions.append((source, inner.nodes))
        else:
            return f"unknown inner input '{inner_input}'; name an input step of the subworkflow"
        return None
