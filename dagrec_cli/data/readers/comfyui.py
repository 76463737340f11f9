"""ComfyUI's official templates, which a Python package holds: real workflows without a download.

Source: the package comfyui-workflow-templates-json (MIT) of github.com/Comfy-Org.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from dagrec_cli.data.composition import Shard
from dagrec_cli.data.readers.comfyui_workflows import ComfyUIWorkflows
from dagrec_cli.errors import DataError, install

WHEEL = "comfyui_workflow_templates_json"
OTHERS = ("index", "fuse_options")  # how the names of files begin that hold no workflow


class ComfyUITemplates(ComfyUIWorkflows):
    """The workflows of the package, or of a folder like its own."""

    option = "comfyui_workflows"

    def given(self) -> str | Sequence[str]:
        """Return ``path``, or the package's folder of templates.

        Raises
        ------
        DataError
            If the package is not installed.
        """
        if self.path is not None:
            return self.path
        spec = find_spec(WHEEL)
        if spec is None or spec.origin is None:
            raise DataError(
                f"data=comfyui needs the package {WHEEL.replace('_', '-')}; {install('comfyui')}."
            )
        return str(Path(spec.origin).parent / "templates")

    def shards(self) -> list[Shard]:
        """Return the files that hold workflows, sorted by path."""
        return [shard for shard in super().shards() if not shard.path.name.startswith(OTHERS)]
