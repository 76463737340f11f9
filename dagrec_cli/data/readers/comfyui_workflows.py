"""ComfyUI workflows: as its editor saves them, as its API takes them, or in a picture it has made.

The editor's format has ``nodes`` and ``links`` (arrays or objects); the API's is an object of
``{id: {"class_type": …, "inputs": {name: [id, slot]}}}``; a PNG has either in a text chunk. A node
is a service, named by its type; a loader that nothing feeds is a table. Reroutes and primitives
pass on what feeds them, so a primitive with a value of its own is dropped, as are notes, muted
nodes, and links to nodes that are not there, which the editor may leave behind. Bypassed ones stay.

A subgraph is expanded in place each time it is used. The node that stands for it shows some of its
inputs, and a link names their places among these: they are the subgraph's by name, not by place.

A fault's place is file and node, ``flow.json.definitions.subgraphs[1].nodes[3]``; in a cycle a node
of a subgraph is called by the ids on the way to it, ``57/12``.

Source: docs.comfy.org, "Workflow JSON", versions 0.4 and 1.0.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from typing import Any, NamedTuple

import msgspec

from dagrec_cli.data.composition import Composition, Fault, Invalid, Shard
from dagrec_cli.data.readers.draft import Draft
from dagrec_cli.data.readers.json_records import LARGEST, decoding_fault
from dagrec_cli.data.readers.json_workflows import (
    BROKEN,
    JsonWorkflows,
    Name,
    with_tables,
)
from dagrec_cli.data.readers.png_text import PNG, png_text

MUTED = 2
NOTES = ("Note", "MarkdownNote")
PRIMITIVE, REROUTE = "Primitive", "Reroute"  # how their types begin
LOADS = re.compile("Load")
SUBGRAPH = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # ids that are types
INPUTS, OUTPUTS = "-10", "-20"  # ids by which a subgraph's links name its own inputs and outputs
KEYWORDS = (b"workflow", b"prompt")  # of a PNG's text chunks, the editor's format first

Id = int | str


class _Slot(msgspec.Struct):
    name: str = ""


class _Node(msgspec.Struct):
    id: Id
    type: Name
    mode: int | None = None
    inputs: list[_Slot] | None = None
    outputs: list[_Slot] | None = None


class _Link(msgspec.Struct):
    origin_id: Id
    origin_slot: int
    target_id: Id
    target_slot: int


class _LinkArray(msgspec.Struct, array_like=True):
    id: Id
    origin_id: Id
    origin_slot: int
    target_id: Id
    target_slot: int


class _Graph(msgspec.Struct):
    nodes: list[_Node]
    links: list[msgspec.Raw] = []  # arrays or objects, decoded one by one


class _Subgraph(_Graph, kw_only=True):
    id: str
    inputs: list[_Slot] = []
    outputs: list[_Slot] = []


class _Definitions(msgspec.Struct):
    subgraphs: list[msgspec.Raw] = []  # decoded one by one, so that each use counts its length


class _Workflow(_Graph):
    definitions: _Definitions = msgspec.field(default_factory=_Definitions)


class _Call(msgspec.Struct):
    """A node of the API's format."""

    class_type: Name
    inputs: dict[str, Any] = {}


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WORKFLOW = msgspec.json.Decoder(_Workflow)
_SUBGRAPH = msgspec.json.Decoder(_Subgraph)
_CALL = msgspec.json.Decoder(_Call)
_LINK = msgspec.json.Decoder(_Link)
_LINK_ARRAY = msgspec.json.Decoder(_LinkArray | None)


class ComfyUIWorkflows(JsonWorkflows):
    """Workflows of ComfyUI."""

    holds = "a workflow of ComfyUI, or a PNG with one in it"
    suffixes = (*JsonWorkflows.suffixes, ".png")

    def parse(self, file: BufferedReader, shard: Shard) -> Iterator[Composition | Invalid]:
        """Yield the composition of every workflow of a file, or what is wrong with it."""
        if not file.peek(len(PNG)).startswith(PNG):
            yield from super().parse(file, shard)
        elif not (text := png_text(file, KEYWORDS)):
            yield Invalid((Fault(shard.name, "no workflow in the PNG"),), is_fault=False)
        elif len(text) > LARGEST:
            yield Invalid((Fault(shard.name, f"longer than {LARGEST:,} bytes"),))
        else:
            yield self.checked(text, shard.name)

    def composition(self, text: bytes, place: str) -> Composition | Invalid:
        """Return a workflow's composition, or what is wrong with it."""
        fields = _OBJECT.decode(text)
        draft = _Draft(place)
        if "nodes" in fields:
            draft.add_workflow(_WORKFLOW.decode(text))
        else:
            draft.add_calls(_OBJECT.decode(fields["prompt"]) if "prompt" in fields else fields)
        found = draft.composition()
        return found if isinstance(found, Invalid) else with_tables(found, LOADS)


class _Ends(NamedTuple):
    """What links find at a node: one node whatever the slot, or a node (or none) for each."""

    inputs: int | Sequence[int | None]
    outputs: int | Sequence[int | None]


class _Draft(Draft):
    """Nodes and links of a workflow with all of its subgraphs; nodes are named by their types.

    Without one are those that pass on what feeds them: a Reroute, a primitive, and those that stand
    for the inputs and outputs of a subgraph.
    """

    def __init__(self, place: str) -> None:
        super().__init__(place)
        # by their ids, with place and text
        self.subgraphs: dict[str, tuple[_Subgraph, str, memoryview]] = {}

    def add_calls(self, calls: Mapping[str, msgspec.Raw]) -> None:
        """Add the nodes of the API's format."""
        position = {key: k for k, key in enumerate(calls)}
        for key, raw in calls.items():
            at = f"{self.place}[{key!r}]"
            try:
                call = _CALL.decode(raw)
            except BROKEN as error:
                self.add_fault(*decoding_fault(error, at))
                call = _Call("")
            self._add_type(call.class_type, key)
            for name, source in _sources(call.inputs):
                if source in position:
                    self.add_link(position[source], position[key])
                else:
                    problem = f"unknown node {source!r}; name the id of a node"
                    self.add_fault(f"{at}.inputs[{name!r}]", problem)

    def add_workflow(self, workflow: _Workflow) -> None:
        """Add the nodes of the editor's format."""
        for k, raw in enumerate(workflow.definitions.subgraphs):
            place = f"{self.place}.definitions.subgraphs[{k}]"
            try:
                subgraph = _SUBGRAPH.decode(raw)
            except BROKEN as error:
                self.add_fault(*decoding_fault(error, place))
            else:
                self.subgraphs[subgraph.id] = subgraph, place, memoryview(raw)
        if not self.faults:
            self._add_graph(workflow, self.place, {}, ())

    def _add_type(self, kind: str, key: str) -> int:
        """Add a node by its type, without a name if it passes on what feeds it."""
        is_primitive = kind.startswith(PRIMITIVE)
        self.dropped.update(["primitives"] if is_primitive else [])
        return self.add_node("" if is_primitive or kind.startswith(REROUTE) else kind, key)

    def _add_graph(
        self, graph: _Graph, place: str, own: Mapping[str, _Ends], way: tuple[str, ...]
    ) -> None:
        """Add the nodes and links of a graph, its subgraphs expanded.

        Parameters
        ----------
        own
            What links find at its own inputs and outputs.
        way
            Ids of the nodes that stand for it and for the graphs around it, the outermost first.
        """
        ends: dict[str, _Ends | None] = dict(own)
        for k, node in enumerate(graph.nodes):
            if str(node.id) in ends:
                problem = f"another node has the id {node.id!r} too"
                self.add_fault(f"{place}.nodes[{k}].id", problem)
            if SUBGRAPH.fullmatch(node.type) and node.type not in self.subgraphs:
                problem = "no such subgraph in definitions; save the workflow with what it uses"
                self.add_fault(f"{place}.nodes[{k}].type", problem)
            ends[str(node.id)] = self._add(node, (*way, str(node.id)))
        for k, raw in enumerate(graph.links):
            try:
                decoder = _LINK if bytes(memoryview(raw)[:1]) == b"{" else _LINK_ARRAY
                self._connect(decoder.decode(raw), ends)
            except BROKEN as error:
                self.add_fault(*decoding_fault(error, f"{place}.links[{k}]"))

    def _add(self, node: _Node, way: tuple[str, ...]) -> _Ends | None:
        """Add a node, or a subgraph in its place; return what links find there, None if dropped."""
        if node.mode == MUTED or node.type in NOTES:
            self.dropped["muted nodes" if node.mode == MUTED else "notes"] += 1
            return None
        if node.type not in self.subgraphs:
            number = self._add_type(node.type, "/".join(way))
            return _Ends(number, number)
        subgraph, place, text = self.subgraphs[node.type]
        self.budget.spend(1, text)
        inputs = [self.add_node("", f"{'/'.join(way)}.{slot.name}") for slot in subgraph.inputs]
        outputs = [self.add_node("", f"{'/'.join(way)}.{slot.name}") for slot in subgraph.outputs]
        ends = {INPUTS: _Ends((), inputs), OUTPUTS: _Ends(outputs, ())}
        with self.inside():
            self._add_graph(subgraph, place, ends, way)
        return _Ends(
            _shown(node.inputs, subgraph.inputs, inputs),
            _shown(node.outputs, subgraph.outputs, outputs),
        )

    def _connect(self, link: "_Link | _LinkArray | None", ends: Mapping[str, _Ends | None]) -> None:
        if link is None:  # which the editor leaves where a link was
            return
        if str(link.origin_id) not in ends or str(link.target_id) not in ends:
            self.dropped["links to nodes that are not there"] += 1
            return
        origin, target = ends[str(link.origin_id)], ends[str(link.target_id)]
        if origin is None or target is None:
            return
        source = _at(origin.outputs, link.origin_slot)
        goal = _at(target.inputs, link.target_slot)
        if source is None or goal is None:
            self.dropped["links to slots that are not there"] += 1
        else:
            self.add_link(source, goal)


def _sources(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each input of the API's format that ComfyUI takes for a link, and the node it names."""
    for name, value in inputs.items():
        if isinstance(value, list) and len(value) == 2:
            source, slot = value
            if isinstance(source, str) and type(slot) in (int, float):
                yield name, source


def _shown(
    slots: Sequence[_Slot] | None, all_slots: Sequence[_Slot], nodes: Sequence[int]
) -> Sequence[int | None]:
    """Return the node of each slot that is shown, of all that a subgraph has."""
    if slots is None:
        return nodes
    by_name = {slot.name: node for slot, node in zip(all_slots, nodes, strict=True)}
    return [by_name.get(slot.name) for slot in slots]


def _at(ends: int | Sequence[int | None], slot: int) -> int | None:
    if isinstance(ends, int):
        return ends
    return ends[slot] if 0 <= slot < len(ends) else None
