"""What a file looks like: which reader a wrong one should have been."""

import re

from dagrec_cli.data.readers.json_records import LARGEST
from dagrec_cli.data.readers.png_text import PNG

KEYS: tuple[tuple[frozenset[str], str], ...] = (  # of JSON objects, wherever in the file
    (frozenset({"a_galaxy_workflow"}), "galaxy_workflows"),
    (frozenset({"steps", "input_connections"}), "galaxy_workflows"),
    (frozenset({"last_node_id"}), "comfyui_workflows"),
    (frozenset({"class_type", "inputs"}), "comfyui_workflows"),
    (frozenset({"schemaVersion", "workflow"}), "wfcommons"),
    (frozenset({"nodes", "connections"}), "n8n_workflows"),
    (frozenset({"nodes", "source", "target"}), "compositions"),
    (frozenset({"nodes", "links", "mid"}), "compositions"),  # only begun: no link yet
)
HEADERS = (  # of a table's header
    (frozenset({"in_id", "out_id"}), "galaxy_connections"),
    (frozenset({"source", "target"}), "edges"),
)
START = LARGEST  # bytes of a file that tell: a whole composition, whose links may come last

_KEY = re.compile(rb'"(\w{1,40})"\s*:')
_CELL = re.compile(r"\w+")
_CONNECTION = re.compile(rb"[^\t\n]*\t\d{4}-[^\t\n]*\t\d+\t[^\n]*\t")  # workflow, date, step, …


def likely_option(start: bytes) -> str:
    """Return the option of the group ``data`` that reads a file; empty if that is unknown."""
    text = start.lstrip()
    if start.startswith(PNG):
        return "comfyui_workflows"
    if text[:1] in (b"{", b"["):
        keys = {key[1].decode() for key in _KEY.finditer(text)}
        return next((option for wanted, option in KEYS if wanted <= keys), "")
    if b"class: GalaxyWorkflow" in text:
        return "gxformat2"
    header = set(_CELL.findall(text.split(b"\n", 1)[0].decode("utf-8", "replace").lower()))
    by_header = next((option for wanted, option in HEADERS if wanted <= header), "")
    return by_header or ("galaxy_connections" if _CONNECTION.match(text) else "")
