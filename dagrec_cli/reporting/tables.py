"""One table, five ways to read it: terminal, CSV, Markdown, LaTeX, JSON."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup, escape

from dagrec_cli.errors import visible
from dagrec_cli.runs.csv_files import csv_text
from dagrec_cli.runs.folder import RunFolder

if TYPE_CHECKING:
    from pandas import DataFrame

FigureSummary = Mapping[str, Any]  # as evaluation.intervals has it, or parts of one
Value = str | int | float | None | FigureSummary

HEADINGS = {"f1": "F1", "ndcg": "nDCG", "mrr": "MRR", "hr": "HR", "seconds_per_epoch": "s/epoch"}
# Of a row; for people they are words in its cells and notes.
ROW_FLAGS = ("is_reference", "p_is_floor", "parts")
MEAN_RANK = "mean_rank"  # a column
PAGE_COLUMNS = 9  # what a page holds
SPARE = (
    *("hr@1", "precision", "recall", "hr@5", "mrr", "hr@3", "seconds_per_epoch", "seeds"),
    *("detectable", "f1", "ndcg", "accuracy", "difference", "p"),
)
LATEX = str.maketrans(
    {
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
        "“": "``",
        "”": "''",
        '"': "''",
        "→": r"$\rightarrow$",
        "χ": r"$\chi$",
        "²": "$^2$",
    }
)
MARKS, TEX_MARKS = ("{%", "%}", "{{", "}}"), ("<%", "%>", "<<", ">>")  # of what is computed


@dataclass
class Table:
    """Rows of named values.

    Attributes
    ----------
    title
        One line above.
    columns
        Keys of the rows, in order.
    rows
        A value is text, a number, or a summary with ``mean``, ``std``, ``low`` and ``high``.
    notes
        Lines below: what the numbers rest on.
    name
        Name of its files, without ending.
    spare
        Columns that are left out where there is no room for all, the first of them first.
    once
        Columns that people read once in neighbouring rows that have the same in all of them.
    """

    title: str
    columns: Sequence[str]
    rows: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    name: str = "table"
    spare: Sequence[str] = SPARE
    once: Sequence[str] = ()

    def save(self, folder: RunFolder) -> None:
        """Write ``<name>.csv``, ``.md``, ``.tex`` and ``.json``."""
        folder.write_text(f"{self.name}.csv", self.to_csv())
        folder.write_text(f"{self.name}.md", self.to_markdown())
        folder.write_text(f"{self.name}.tex", self.to_latex())
        content = {key: getattr(self, key) for key in ("title", "columns", "rows", "notes")}
        folder.write_json(f"{self.name}.json", content)

    @property
    def plain(self) -> dict[str, list[object]]:
        """Plain values by column; a summary becomes ``x``, ``x_std``, ``x_low`` and ``x_high``.

        Whether a row is the reference, or its p the floor, and how many parts its split has if it
        has several, stands in columns at the end.
        """
        plain: dict[str, list[object]] = {}
        for column in self.columns:
            values = [row.get(column) for row in self.rows]
            summaries = [v if isinstance(v, Mapping) else {"mean": v} for v in values]
            is_summary = any(isinstance(value, Mapping) for value in values)
            plain[column] = [summary.get("mean") for summary in summaries]
            for part in ("std", "low", "high") * is_summary:
                plain[f"{column}_{part}"] = [summary.get(part) for summary in summaries]
        for flag in ROW_FLAGS:
            if any(flag in row for row in self.rows):
                plain[flag] = [row.get(flag) for row in self.rows]
        return plain

    def to_csv(self) -> str:
        """Return the plain cells as CSV."""
        plain = self.plain
        return csv_text(list(plain), zip(*plain.values(), strict=True))

    def to_frame(self) -> "DataFrame":
        """Return the plain cells; the notes are the frame's ``attrs["notes"]``."""
        import pandas as pd

        frame = pd.DataFrame(self.plain)
        frame.attrs["notes"] = list(self.notes)
        return frame

    def to_markdown(self) -> str:
        """Return a Markdown table with the title above and the notes below."""
        cells = self.cells(self.columns)
        return template("table.md.jinja").render(table=self, cells=cells)

    def to_latex(self) -> str:
        """Return a floating table with rules of booktabs, intervals below their means, best bold.

        Of more than :data:`PAGE_COLUMNS` columns the spare ones are left out; a table that is
        still wider than the text is scaled down to it.
        """
        columns, spared = self.kept_and_spared
        # A paper may hold several tables of one name: what they are about tells them apart.
        about = [self.title, self.notes[:1], [row.get(columns[0]) for row in self.rows]]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:6]
        label = re.sub("[^a-zA-Z0-9]+", "-", f"{self.name}-{digest}")
        best = [[self._is_best(row, column) for column in columns] for row in self.rows]
        shown = {"label": label, "columns": columns, "best": best, "cells": self.cells(columns)}
        shown["left_out"] = ", ".join(map(heading, spared))
        return template("table.tex.jinja").render(table=self, **shown)

    def _is_best(self, row: Mapping[str, Any], column: str) -> bool:
        """Return whether a row has the highest mean about its test; ceilings have no seeds."""
        alike = [r for r in self.rows if r.get("seeds") and r.get("test") == row.get("test")]
        means = [r[column]["mean"] for r in alike if isinstance(r.get(column), Mapping)]
        is_one = row in alike and row.get(column) and column != "difference"
        return bool(is_one) and len(means) > 1 and row[column]["mean"] == max(means)

    @property
    def kept_and_spared(self) -> tuple[list[str], list[str]]:
        """The columns that a page has room for, and the spare ones that it has not."""
        n_over = max(0, len(self.columns) - PAGE_COLUMNS)
        spared = [column for column in self.spare if column in self.columns][:n_over]
        kept = [column for column in self.columns if column not in spared]
        return kept, [column for column in self.columns if column in spared]

    def cells(self, columns: Sequence[str]) -> list[list[Value]]:
        """Return some columns as people read them, ``[rows][columns]``."""
        return [
            ["" if self.is_again(k, column) else displayed(row, column) for column in columns]
            for k, row in enumerate(self.rows)
        ]

    def is_again(self, number: int, column: str) -> bool:
        """Return whether the row above one, which is given by its number, says this for both."""
        pair = self.rows[max(0, number - 1) : number + 1]
        is_same = all(row[each] == pair[0][each] for row in pair for each in self.once)
        return column in self.once and len(pair) > 1 and is_same

    @property
    def numeric(self) -> set[str]:
        """Columns without text."""
        cells = (cell for row in self.rows for cell in row.items())
        return {*self.columns} - {name for name, value in cells if isinstance(value, str)}


def displayed(row: Mapping[str, Any], column: str) -> Value:
    """Return a cell as people read it.

    The reference has no difference, a floor of p is ``≤``, a mean rank has two digits.
    """
    value: Value = row.get(column)
    if column == "difference" and row.get("is_reference"):
        return "reference"
    if column == MEAN_RANK:
        return f"{value:.2f}"
    return f"≤ {short(value)}" if row.get(f"{column}_is_floor") else value


def spell(value: Value) -> str:
    """Return a value as a reader of a paper expects it: ``.5410 ± .0021 [.485, .597]``."""
    detail = interval(value)
    return f"{short(value)} {detail}" if detail else short(value)


def short(value: Value) -> str:
    """Return a value without its interval: ``.5410 ± .0021``."""
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        mean = digits(value["mean"], 4)
        return mean if value.get("std") is None else f"{mean} ± {digits(value['std'], 3)}"
    if isinstance(value, float):
        return digits(value, 4)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def interval(value: Value) -> str:
    """Return a summary's interval, ``[.485, .597]``; empty where there is none."""
    if not isinstance(value, Mapping) or value.get("low") is None:
        return ""
    return f"[{digits(value['low'], 3)}, {digits(value['high'], 3)}]"


def said_once(tables: Iterable[Table]) -> Iterator[tuple[Table, list[str]]]:
    """Yield tables, each with those of its notes that none before it has."""
    said: set[str] = set()
    for table in tables:
        yield table, [note for note in table.notes if note not in said]
        said.update(table.notes)


def breakable(text: str) -> Markup:
    """Return text for a page, where a long name may continue in the next line after its signs."""
    return Markup(re.sub(r"(?<=\w)([._=/])(?=\w)", r"\1<wbr>", str(escape(visible(text)))))


def markdown_text(text: str) -> str:
    """Return text in one line that Markdown shows as it stands, without links and images."""
    shown = re.sub(r"[\\`*|<]", r"\\\g<0>", visible(" ".join(text.split())))
    return re.sub(r"(\]|:(?=//)|www(?=\.))(?=[(:\[/.])", r"\1\\", shown)


def latex_text(text: str) -> str:
    r"""Return text that LaTeX prints as it stands.

    >>> latex_text("service_1 & 50 %")
    'service\\_1 \\& 50 \\%'
    """
    text = re.sub('"([^"]*)"', r"“\1”", text.replace("-.", "−.").replace("\n", " "))
    return visible(text).translate(LATEX)


@cache
def template(name: str) -> Template:
    """Return a template of this part; what it shows of the data is seen and does not act."""
    environment = Environment(
        *(TEX_MARKS if name.endswith(".tex.jinja") else MARKS),
        loader=PackageLoader("dagrec_cli.reporting"),
        autoescape=select_autoescape(["html.jinja"]),
        finalize=_without_control,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    by_name = (displayed, short, spell, interval, heading, said_once, breakable)
    environment.filters |= {function.__name__: function for function in by_name}
    environment.filters |= {"order": _order, "markdown": markdown_text, "latex": latex_text}
    return environment.get_template(name)


def _without_control(value: object) -> object:
    """Return text of the data without control characters; pictures, which are markup, stay."""
    return "\n".join(map(visible, value.split("\n"))) if type(value) is str else value


def _order(value: Value) -> str | int | float:
    """Return what a cell is sorted by."""
    value = value["mean"] if isinstance(value, Mapping) else value
    return "" if value is None else value


def digits(number: float | None, places: int) -> str:
    """Return a number without the zero before its point, as tables of shares have it."""
    text = "–" if number is None else f"{round(number, places) + 0.0:.{places}f}"  # no "-.0000"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def heading(column: str) -> str:
    """Return a column's name for reading."""
    name, at, cut = column.partition("@")
    return f"{HEADINGS.get(name, name.replace('_', ' '))}{at}{cut}"
