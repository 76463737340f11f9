"""A picture of the report: saved as PNG and SVG, and as SVG to stand inside a page.

Inside a page colours become variables of its style sheet, so that they follow the screen's light
or dark, and ids begin with the picture's name, so that those of two pictures differ.
"""

import io
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from dagrec_cli.reporting.plots import save_png
from dagrec_cli.reporting.plots.style import VARIABLES, style
from dagrec_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
NOT_IN_A_PAGE = (f"{{{SVG}}}metadata", f"{{{SVG}}}style")
POINTS_PER_INCH, PIXELS_PER_INCH = 72, 96


@dataclass(frozen=True)
class Picture:
    """A figure with what is said about it.

    Attributes
    ----------
    name
        Name of its files, without ending; unique in a report.
    title
        One line above.
    caption
        What to see in it.
    """

    name: str
    title: str
    caption: str
    figure: "Figure"

    @property
    def width(self) -> int:
        """Its natural width in pixels."""
        return round(self.figure.get_figwidth() * PIXELS_PER_INCH)

    def save(self, folder: RunFolder) -> str:
        """Write ``<name>.png`` and ``<name>.svg``; return the SVG to put into a page."""
        svg = io.StringIO()
        with style(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names from data
            if layout := self.figure.get_layout_engine():
                layout.execute(self.figure)
            self.figure.set_layout_engine("none")  # laid out once, written twice
            folder.write(f"{self.name}.png", lambda file: save_png(self.figure, file))
            self.figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        folder.write_text(f"{self.name}.svg", svg.getvalue())
        return inline(svg.getvalue(), self.name, self.title)


def inline(svg: str, prefix: str, label: str) -> str:
    """Return an SVG document of matplotlib as an element for a page.

    Parameters
    ----------
    prefix
        Put before every id.
    label
        What a screen reader says.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in NOT_IN_A_PAGE]:
            parent.remove(child)
        for key, value in parent.attrib.items():
            parent.set(key, _for_page(key, value, prefix))
    for key in ("width", "height"):  # the style sheet decides
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _for_page(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == f"{{{XLINK}}}href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    value = value.replace("url(#", f"url(#{prefix}-")
    if key == "style":
        return re.sub("#[0-9a-f]{6}", _variable, value)
    return value


def _variable(colour: re.Match[str]) -> str:
    name = VARIABLES.get(colour[0])
    return f"var(--{name})" if name else colour[0]
