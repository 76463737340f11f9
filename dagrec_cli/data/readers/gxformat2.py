"""Galaxy workflows in format 2 (``.gxwf.yml``), with the names that their ``.ga`` files give.

The YAML is turned into the steps of a ``.ga`` file, inputs first, and these are expanded in place.
A source is ``label/output`` or ``label``, with the longest label that fits, since labels may have
slashes. A subworkflow lies in ``run``, or beside the workflow in ``$graph``; one that lies in
another file or at an address is a fault.

A fault's place is file and step, ``rnaseq.gxwf.yml.steps['cat']``.

Source: github.com/galaxyproject/gxformat2, schema v19_09.
"""

import re
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import Any, NamedTuple

import msgspec
import yaml

from dagrec_cli.data.composition import Composition, Fault, Invalid, Shard
from dagrec_cli.data.files import EmptyFileError
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.draft import TooLargeError
from dagrec_cli.data.readers.galaxy_workflows import (
    CONDITION,
    PAUSE,
    SUBWORKFLOW,
    TOOL,
    Connection,
    Expansion,
    Output,
    Step,
    Workflow,
    short_id,
)
from dagrec_cli.data.readers.json_records import decoding_fault
from dagrec_cli.data.readers.yaml_text import everything_in, text_of, yaml_document

LARGEST_DOCUMENT = 2**21  # bytes of a file; the largest .ga file of IWC has half of that
LONGEST_SOURCE = 1000  # characters
CLASS = "GalaxyWorkflow"
COLLECTION = "data_collection_input"
INPUT_TYPE_OF = {  # types of inputs, and of steps that are inputs; all others are parameters
    **dict.fromkeys(("data", "data_input", "File", "input"), "data_input"),
    **dict.fromkeys(("collection", "data_collection", COLLECTION, "input_collection"), COLLECTION),
}
AFTER = "$step"  # stands for the step as a whole, which waits for a source without reading it
WHEN = re.compile(r"\$\(inputs\.([\w-]+)\)")  # names the input that decides whether a step runs


class Gxformat2(Reader):
    """Galaxy workflows in format 2, each in a file."""

    holds = "a Galaxy workflow in format 2 (.gxwf.yml)"
    suffixes = (".gxwf.yml", ".gxwf.yaml")
    service_name = staticmethod(short_id)

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of a file."""
        text = file.read(LARGEST_DOCUMENT + 1)
        if len(text) > LARGEST_DOCUMENT:
            yield Invalid((Fault(shard.name, f"longer than {LARGEST_DOCUMENT:,} bytes"),))
            return
        if not text.strip():
            raise EmptyFileError(f"{shard.path}: the file is empty; it must hold {self.holds}.")
        try:
            yield _Conversion(shard.name).composition(yaml_document(str(text, "utf-8")))
        except (UnicodeDecodeError, TooLargeError) as error:
            yield Invalid((decoding_fault(error, shard.name),))
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"{shard.name} (line {mark.line + 1})" if mark else shard.name
            problem = getattr(error, "problem", None) or getattr(error, "reason", "broken")
            yield Invalid((Fault(place, f"no YAML that is read: {problem}"),))


class _Item(NamedTuple):
    """An element of ``inputs``, ``steps``, ``outputs`` or ``in``."""

    label: str
    fields: dict[str, Any]
    place: str


class _Format2(Workflow):
    """A workflow in the steps of a ``.ga`` file.

    Attributes
    ----------
    ready
        Each step with its place; inputs are steps, and come first.
    labels
        Numbers of the steps by what sources call them.
    inputs, outputs
        Numbers of the inputs, and labels of the outputs, as the step around it calls them.
    is_broken
        True if it has a fault, so that some of these may be missing.
    """

    ready: dict[int, tuple[Step, str]] = msgspec.field(default_factory=dict)
    labels: dict[str, int] = msgspec.field(default_factory=dict)
    inputs: dict[str, int] = msgspec.field(default_factory=dict)
    outputs: set[str] = msgspec.field(default_factory=set)
    is_broken: bool = False

    def add_output(self, number: int, output: Output) -> None:
        """Add an output of a step to those of the workflow."""
        step, _ = self.ready[number]
        step.workflow_outputs = step.workflow_outputs or []
        step.workflow_outputs.append(output)
        self.outputs.add(output.label or f"{number}:{output.output_name}")

    def has_output(self, name: str) -> bool:
        """Return whether it has an output; ``3:out`` is one of step 3 that has no label."""
        number, _, output = name.partition(":")
        if name not in self.outputs and output and number in self.labels:
            self.add_output(self.labels[number], Output(output))
        return name in self.outputs

    def input_number(self, name: str) -> int | None:
        """Return the number of an input; ``3:Input dataset`` is input 3, which has no label."""
        number = self.labels.get(name.partition(":")[0]) if ":" in name else None
        return self.inputs.get(name, number)


class _Expansion(Expansion):
    def decoded(self, workflow: Workflow, place: str) -> dict[int, tuple[Step, str]]:
        """Return each step with its place."""
        return workflow.ready if isinstance(workflow, _Format2) else {}


class _Conversion:
    """A document in the steps of a ``.ga`` file, and what is wrong with it."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.graph: dict[str, dict[str, Any]] = {}  # the document's workflows by their ids
        self.expansion = _Expansion(place)
        self.spend = self.expansion.budget.spend
        self._fault = self.expansion.add_fault

    def composition(self, document: Any) -> Composition | Invalid:
        """Return the composition of a document, or what is wrong with it."""
        if isinstance(document, dict) and isinstance(graph := document.get("$graph"), list):
            workflows = [each for each in graph if isinstance(each, dict)]
            self.graph = {str(each.get("id")).removeprefix("#"): each for each in workflows}
            document = self.graph.get("main")
        if not isinstance(document, dict) or document.get("class") != CLASS:
            problem = f"no 'class: {CLASS}', which a workflow in format 2 has"
            return Invalid((Fault(self.place, problem),))
        workflow = self._workflow(document, self.place)
        if not self.expansion.faults:
            self.expansion.add(workflow, self.place)
        return self.expansion.composition()

    def _workflow(self, document: dict[str, Any], place: str) -> _Format2:
        """Return a workflow in steps, those of its subworkflows included."""
        workflow, n_faults = _Format2({}), len(self.expansion.faults)
        inputs = list(self._items(document, "inputs", "type", place))
        steps = list(self._items(document, "steps", "", place))
        if "steps" not in document:
            self._fault(place, "no steps; a workflow has some")
        for item in inputs:
            workflow.inputs[item.label] = len(workflow.ready)
            self._add(workflow, Step(_input_type(item.fields.get("type"))), item)
        for item in steps:
            self._add(workflow, self._step(item), item)
        for number in workflow.ready:
            workflow.labels.setdefault(str(number), number)
        for number, item in enumerate(steps, len(inputs)):
            self._connect(workflow, number, item)
        self._hand_out(workflow, document, place)
        workflow.is_broken = len(self.expansion.faults) > n_faults
        return workflow

    def _hand_out(self, workflow: _Format2, document: dict[str, Any], place: str) -> None:
        """Add the outputs of a workflow."""
        for label, fields, at in self._items(document, "outputs", "outputSource", place):
            for source in self._texts(fields.get("outputSource"), at):
                found = self._resolve(workflow, source)
                if isinstance(found, Connection):  # else a fault of the step that uses it, if any
                    workflow.add_output(found.id, Output(found.output_name, label))

    def _add(self, workflow: _Format2, step: Step, item: _Item) -> None:
        """Add a step, known by its label, its id and its number."""
        number = len(workflow.ready)
        workflow.ready[number] = step, item.place
        for name in (
            item.label,
            text_of(item.fields.get("label")),
            text_of(item.fields.get("id")),
        ):
            if name and workflow.labels.setdefault(name, number) != number:
                self._fault(item.place, f"{name[:60]!r} also names another step or input")

    def _step(self, item: _Item) -> Step:
        fields, run, kind = item.fields, item.fields.get("run"), item.fields.get("type")
        if isinstance(run, str) and run.startswith("#"):
            run = self.graph.get(run[1:], run)
            for value in everything_in(run):  # which may be used many times
                self.spend(1, text_of(value))
        if isinstance(run, str) or (isinstance(run, dict) and "@import" in run):
            name = repr(text_of(run)[:60] or "@import")
            problem = f"{name} lies elsewhere; put the workflow itself into the file"
            self._fault(f"{item.place}.run", problem)
            return Step(PAUSE)
        if isinstance(run, dict) and run.get("class") == CLASS:
            with self.expansion.inside():
                inner = self._workflow(run, f"{item.place}.run")
            return Step(SUBWORKFLOW, subworkflow=inner)
        tool = fields.get("tool_id")
        if isinstance(run, dict):  # a tool that the workflow brings with it
            tool = tool or run.get("id") or run.get("name")
        kind = TOOL if kind is None else text_of(kind) or "no text"
        return Step(INPUT_TYPE_OF.get(kind, kind), tool_id=tool)

    def _connect(self, workflow: _Format2, number: int, item: _Item) -> None:
        """Add what feeds a step to its connections."""
        step, _ = workflow.ready[number]
        connections: dict[str, list[Connection]] = {}
        when = WHEN.search(text_of(item.fields.get("when")))
        conditions = (CONDITION, AFTER, when[1] if when else CONDITION)
        for name, source, at in self._feeds(item):
            found = self._resolve(workflow, source)
            if not isinstance(found, Connection):
                if found:
                    self._fault(at, found)
                continue
            key = name
            if isinstance(inner := step.subworkflow, _Format2):
                number_inside = inner.input_number(name)
                found.input_subworkflow_step_id = number_inside
                key = name if number_inside is not None else CONDITION
                if number_inside is None and name not in conditions and not inner.is_broken:
                    self._fault(at, f"the subworkflow has no input {name[:60]!r}")
            connections.setdefault(key, []).append(found)
        step.input_connections = dict(connections)

    def _resolve(self, workflow: _Format2, source: str) -> Connection | str:
        """Return the step and output that a source names, or what is wrong; empty: told before."""
        cuts = [len(source), *(found.start() for found in re.finditer("[/#]", source))]
        self.spend(len(cuts))
        for cut in sorted(cuts, reverse=True):
            label, output = source[:cut], source[cut + 1 :] or "output"
            if label in workflow.labels:
                number = workflow.labels[label]
                inner = workflow.ready[number][0].subworkflow
                if not isinstance(inner, _Format2) or inner.has_output(output):
                    return Connection(number, output)
                problem = f"{output[:60]!r} is no output of the subworkflow {label[:60]!r}"
                return "" if inner.is_broken else problem  # one cause, one fault
        return f"unknown source {source[:60]!r}; name an input, or STEP/OUTPUT"

    def _feeds(self, item: _Item) -> Iterator[tuple[str, str, str]]:
        """Yield each source of a step with the name of the input that it feeds, and its place."""
        for key in ("in", "connect"):
            for name, fields, at in self._items(item.fields, key, "source", item.place):
                for source in self._texts(fields.get("source"), at):
                    yield name, source, at
        at = f"{item.place}.state"
        for value in everything_in(item.fields.get("state")):
            if isinstance(value, dict) and "$link" in value:
                for source in self._texts(value["$link"], at):
                    yield "", source, at

    def _items(self, holder: dict[str, Any], key: str, bare: str, place: str) -> Iterator[_Item]:
        """Yield what a mapping or a list has; a bare value stands for the field ``bare``."""
        given, at = holder.get(key), f"{place}.{key}"
        pairs: Iterable[tuple[str, Any, str]] = ()
        if isinstance(given, dict):
            pairs = ((label, value, f"{at}[{label!r}]") for label, value in given.items())
        elif isinstance(given, list):
            pairs = (("", value, f"{at}[{k}]") for k, value in enumerate(given))
        elif given is not None:
            self._fault(at, "neither a mapping nor a list")
        for label, value, where in pairs:
            self.spend(1, where)
            if isinstance(value, dict):
                names = (label, text_of(value.get("id")), text_of(value.get("label")))
                yield _Item(next(filter(None, names), ""), value, where)
            elif bare and label:
                yield _Item(label, {bare: value}, where)
            else:
                self._fault(where, "no mapping; write its fields")

    def _texts(self, given: Any, at: str) -> list[str]:
        """Return a text or a list of texts as a list."""
        texts = given if isinstance(given, list) else [] if given is None else [given]
        if not all(isinstance(text, str) and len(text) <= LONGEST_SOURCE for text in texts):
            self._fault(at, "no text; name an input, or STEP/OUTPUT, or a list of these")
            return []
        return texts


def _input_type(given: Any) -> str:
    """Return what a ``.ga`` file calls the type of an input; ``[File, "null"]`` is a File."""
    kinds = given if isinstance(given, list) else [given]
    kind = next((text_of(each) or "record" for each in kinds if each is not None), "data")
    return COLLECTION if kind.endswith("[]") else INPUT_TYPE_OF.get(kind, "parameter_input")
