"""Workflows as n8n exports them: ``nodes`` with name and type, ``connections`` by the nodes' names.

A node is a service, named by its type; a trigger that nothing feeds is a table. Sticky notes and
disabled nodes are dropped, with their links. A connection leads from the node that it is listed
under to the one that it names; so do the kinds ``ai_…``, which n8n lists under the sub-node (a
language model, a tool) and which name the agent that uses it.

A workflow starts when it was created and ends when it was last changed; the project that owns it
(the user, before there were projects) is its owner, by its id, as far as the export has these.

A fault's place is file and node, ``flow.json.nodes[3]`` or ``flow.json.connections['If']``.

Source: docs.n8n.io, "Export and import workflows".
"""

import re
from collections import Counter
from typing import Any

import msgspec

from dagrec_cli.data.composition import Composition, Fault, Invalid
from dagrec_cli.data.readers.base import moment
from dagrec_cli.data.readers.json_records import decoding_fault
from dagrec_cli.data.readers.json_workflows import (
    BROKEN,
    JsonWorkflows,
    Name,
    repeated_ids,
    with_tables,
)

STICKY_NOTE = ".stickyNote"
# Most triggers are called so; those of the first versions have names of their own.
TRIGGER = re.compile(r"(trigger|\.(cron|emailreadimap|interval|start|webhook))$", re.IGNORECASE)


class _N8nNode(msgspec.Struct):
    name: Name
    type: Name
    disabled: bool | None = None

    def dropped(self) -> str | None:
        """Return what it is counted as if it is left out."""
        if self.type.endswith(STICKY_NOTE):
            return "sticky notes"
        return "disabled nodes" if self.disabled else None


class _Target(msgspec.Struct):
    node: str


class _N8nWorkflow(msgspec.Struct, rename="camel"):
    nodes: list[_N8nNode]
    connections: dict[str, msgspec.Raw]  # decoded one by one, so that a fault can name its node
    created_at: Any = None
    updated_at: Any = None
    shared: Any = None  # what this and the next one are has changed over the years
    home_project: Any = None

    def owner(self) -> str | None:
        """Return the id of the project or the user that owns it, None if it does not say."""
        shares = self.shared if isinstance(self.shared, list) else []
        owners = [each for each in shares if isinstance(each, dict) and _is_owner(each.get("role"))]
        if isinstance(self.home_project, dict):
            owners.append({"projectId": self.home_project.get("id")})
        ids = [each.get(key) for each in owners for key in ("projectId", "userId")]
        return next((key for key in ids if isinstance(key, str) and key), None)


_N8N_WORKFLOW = msgspec.json.Decoder(_N8nWorkflow)
_OUTPUTS = msgspec.json.Decoder(dict[str, list[list[_Target] | None] | None])  # of each kind


class N8nWorkflows(JsonWorkflows):
    """Workflows exported from n8n."""

    holds = "a workflow exported from n8n"

    def composition(self, text: bytes, place: str) -> Composition | Invalid:
        """Return a workflow's composition, or what is wrong with it."""
        workflow = _N8N_WORKFLOW.decode(text)
        names = [node.name for node in workflow.nodes]
        links, faults = _named_links(workflow, place)
        start_time = moment(workflow.created_at, f"{place}.createdAt", faults)
        end_time = moment(workflow.updated_at, f"{place}.updatedAt", faults)
        if faults := repeated_ids(names, f"{place}.nodes") + faults:
            return Invalid(tuple(faults))
        kept = [node for node in workflow.nodes if not node.dropped()]
        position = {node.name: k for k, node in enumerate(kept)}
        whole = Composition(
            tuple(node.type for node in kept),
            (True,) * len(kept),
            tuple((position[a], position[b]) for a, b in links if {a, b} <= position.keys()),
            workflow.owner(),
            start_time,
            end_time,
            place,
            list(position),
            dropped=tuple(Counter(filter(None, map(_N8nNode.dropped, workflow.nodes))).items()),
        )
        return with_tables(whole, TRIGGER)


def _is_owner(role: object) -> bool:
    """Return whether a role is ``workflow:owner``, ``owner``, or an object of that name."""
    name = role.get("name") if isinstance(role, dict) else role
    return isinstance(name, str) and name.rpartition(":")[2] == "owner"


def _named_links(workflow: _N8nWorkflow, place: str) -> tuple[list[tuple[str, str]], list[Fault]]:
    """Return the names at both ends of every link, and the links that cannot be read."""
    names = {node.name for node in workflow.nodes}
    links: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for source, raw in workflow.connections.items():
        at = f"{place}.connections[{source!r}]"
        try:
            kinds = _OUTPUTS.decode(raw)
        except BROKEN as error:
            faults.append(decoding_fault(error, at))
            continue
        targets = [
            t.node for outputs in kinds.values() for output in outputs or () for t in output or ()
        ]
        faults += [
            Fault(at, f"unknown node {name!r}; name a node of the workflow")
            for name in dict.fromkeys([source, *targets])
            if name not in names
        ]
        links += [(source, target) for target in targets]
    return links, faults
