"""Text for LaTeX: what has a meaning there is written so that it is only read."""

from dagrec_cli.errors import visible

MEANT = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after a line's end a bracket would be taken for its option
    "]": "{]}",
    "−": "$-$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "–": "--",
    "→": r"$\rightarrow$",
    "\n": " ",
}
TABLE = str.maketrans(MEANT)


def latex_text(text: str) -> str:
    r"""Return text that LaTeX prints as it stands.

    >>> latex_text("service_1 & 50 %")
    'service\\_1 \\& 50 \\%'
    """
    return visible(text.replace("-.", "−.").replace("\n", " ")).translate(TABLE)
