"""What the readers of Galaxy's formats share: a tool's short id."""

from dagrec_cli.data.readers.base import Reader

_TOOL = 2  # place of the tool after ".../repos/": owner, repository, tool, version


def short_id(tool: str) -> str:
    """Return the name of a tool without its tool shed, owner, repository and version.

    ``toolshed.g2.bx.psu.edu/repos/iuc/rgrnastar/rna_star/2.7.11a`` is ``rna_star``; a built-in
    tool (``Cut1``) keeps its id.
    """
    parts = tool.partition("/repos/")[2].split("/")
    return parts[_TOOL] if len(parts) > _TOOL and parts[_TOOL].strip() else tool


class GalaxyReader(Reader):
    """Files of one of Galaxy's formats."""

    service_name = staticmethod(short_id)
