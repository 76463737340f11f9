"""Galaxy workflows: a folder of ``.ga`` files, each one composition.

A step with a tool is a service, named by the tool's short id; an input step is a table, named by
its type. The links are the ``input_connections``. A subworkflow is expanded in place: what feeds
the outer step feeds the steps that read its inner inputs, and what reads an output of the outer
step reads the inner step behind the output's label. An inner input that nothing feeds stays a
table. The condition of a subworkflow (its connection ``when``) feeds the inner steps that come
first.

A ``pause`` step passes on what feeds it.

A fault's place is file and step, ``rnaseq.ga.steps[24].subworkflow.steps[3]``.

Source: the exports of github.com/galaxyproject/iwc.
"""

import reprlib
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE, Composition, Invalid
from dagrec_cli.data.readers.draft import Draft
from dagrec_cli.data.readers.json_records import decoding_fault
from dagrec_cli.data.readers.json_workflows import BROKEN, JsonWorkflows

TOOL, SUBWORKFLOW = "tool", "subworkflow"
PAUSE = "pause"  # until somebody has looked at what it passes on
INPUT_TYPES = ("data_input", "data_collection_input", "parameter_input")
CONDITION = "when"
_TOOL = 2  # place of the tool after ".../repos/": owner, repository, tool, version


def short_id(tool: str) -> str:
    """Return the name of a tool without its tool shed, owner, repository and version.

    ``toolshed.g2.bx.psu.edu/repos/iuc/rgrnastar/rna_star/2.7.11a`` is ``rna_star``; a built-in
    tool (``Cut1``) keeps its id.
    """
    parts = tool.partition("/repos/")[2].split("/")
    return parts[_TOOL] if len(parts) > _TOOL and parts[_TOOL].strip() else tool


class Connection(msgspec.Struct):
    """An output of a step; of what feeds a subworkflow, also the input step inside."""

    id: int
    output_name: str
    input_subworkflow_step_id: int | None = None


class Output(msgspec.Struct):
    """An output of a step that the workflow hands out, under its label if it has one."""

    output_name: str
    label: str | None = None


class Workflow(msgspec.Struct):
    """A workflow, or one inside a step of another."""

    steps: dict[int, msgspec.Raw]  # decoded one by one, so that a fault can name its step


class Step(msgspec.Struct):
    """A tool, an input, a subworkflow."""

    type: str
    tool_id: Any = None  # of a subworkflow, a number of the server's own
    input_connections: dict[str, Connection | list[Connection]] | None = None
    workflow_outputs: list[Output] | None = None
    subworkflow: Workflow | None = None

    def sources(self) -> Iterator[tuple[str, Connection]]:
        """Yield each connection with the name of the input it feeds."""
        for name, found in (self.input_connections or {}).items():
            for connection in found if isinstance(found, list) else [found]:
                yield name, connection


_GA_WORKFLOW = msgspec.json.Decoder(Workflow)
_STEP = msgspec.json.Decoder(Step)


class GalaxyWorkflows(JsonWorkflows):
    """Galaxy workflows."""

    holds = "a Galaxy workflow (.ga)"
    suffixes = (".ga",)
    service_name = staticmethod(short_id)

    def composition(self, text: bytes, place: str) -> Composition | Invalid:
        """Return a workflow's composition, or what is wrong with it."""
        expansion = Expansion(place)
        expansion.add(_GA_WORKFLOW.decode(text), place)
        return expansion.composition()


@dataclass
class _Part:
    """One workflow of the expansion, as the steps around it see it."""

    node: dict[int, int] = field(default_factory=dict)  # of each tool and input step
    inner: dict[int, "_Part"] = field(default_factory=dict)  # of each subworkflow step
    outputs: dict[str, int | None] = field(default_factory=dict)  # node behind each label
    is_broken: bool = False  # it has a fault, so that others may miss what it hands out
    nodes: range = range(0)  # all of its own, those further in included

    def source(self, step: int, output: str) -> int | None:
        """Return the node that makes a step's output, None if there is no such output."""
        return self.inner[step].outputs.get(output) if step in self.inner else self.node.get(step)


class Expansion(Draft):
    """Nodes and links of a workflow and of everything inside it.

    An inner input that is fed from outside is a node without a name until the end, when what feeds
    it is linked to what reads it.
    """

    def add(self, workflow: Workflow, place: str, fed: Set[int | None] = frozenset()) -> _Part:
        """Add a workflow whose input steps ``fed`` are fed from outside."""
        part, first, n_faults = _Part(), len(self.names), len(self.faults)
        steps = self.decoded(workflow, place)
        for k, (step, at) in steps.items():
            if step.subworkflow:
                inputs = {connection.input_subworkflow_step_id for _, connection in step.sources()}
                with self.inside():
                    part.inner[k] = self.add(step.subworkflow, f"{at}.subworkflow", inputs)
            else:
                part.node[k] = self._add_step(step, at, is_fed=k in fed)
        part.nodes = range(first, len(self.names))
        for k, (step, at) in steps.items():
            for name, connection in step.sources():
                if problem := self._connect(part, k, name, connection):
                    self.add_fault(f"{at}.input_connections[{name!r}]", problem)
        part.outputs = {
            output.label or f"{k}:{output.output_name}": part.source(k, output.output_name)
            for k, (step, _) in steps.items()
            for output in step.workflow_outputs or ()
        }
        part.is_broken = len(self.faults) > n_faults
        return part

    def decoded(self, workflow: Workflow, place: str) -> dict[int, tuple[Step, str]]:
        """Return each step with its place; one that cannot be decoded still counts as a step."""
        steps = {}
        for k in sorted(workflow.steps):
            at = f"{place}.steps[{k}]"
            self.budget.spend(1, at)
            try:
                steps[k] = (_STEP.decode(workflow.steps[k]), at)
            except BROKEN as error:
                self.add_fault(*decoding_fault(error, at))
                steps[k] = (Step(PAUSE), at)
        return steps

    def _add_step(self, step: Step, at: str, *, is_fed: bool) -> int:
        name = ""
        if step.type == TOOL:
            if isinstance(step.tool_id, str) and step.tool_id.strip():
                name = PREFIX_SERVICE + short_id(step.tool_id)
            else:
                tool = reprlib.repr(step.tool_id)  # which may be anything
                self.add_fault(at, f"tool_id is {tool}; a step of type tool must name its tool")
        elif step.type == SUBWORKFLOW:
            self.add_fault(at, "no subworkflow; export the workflow with what it embeds")
        elif step.type in INPUT_TYPES:
            name = "" if is_fed else PREFIX_TABLE + step.type
        elif step.type != PAUSE:
            known = ", ".join([TOOL, SUBWORKFLOW, PAUSE, *INPUT_TYPES])
            self.add_fault(f"{at}.type", f"unknown type {step.type!r}; known: {known}")
        return self.add_node(name, at.removeprefix(f"{self.place}."))

    def _connect(self, part: _Part, k: int, name: str, connection: Connection) -> str | None:
        """Link what a connection names to step ``k``, or return why that cannot be."""
        source = part.source(connection.id, connection.output_name)
        if source is None and connection.id in part.inner and part.inner[connection.id].is_broken:
            return None  # one cause, one fault
        if source is None:
            unknown = f"{connection.id}: {connection.output_name}"
            return (
                f"unknown source {unknown!r}; name a step, and a subworkflow's output by its label"
            )
        if k in part.node:
            self.add_link(source, part.node[k])
            return None
        inner, inner_input = part.inner[k], connection.input_subworkflow_step_id
        if inner_input in inner.node:
            self.add_link(source, inner.node[inner_input])
        elif name == CONDITION:
            self.budget.spend(1)
            self.conditions.append((source, inner.nodes))
        else:
            return f"unknown inner input '{inner_input}'; name an input step of the subworkflow"
        return None
