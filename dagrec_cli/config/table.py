"""What a table of ``dagrec reproduce`` may hold: the types of ``configs/table/*.yaml``."""

from collections import Counter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from dagrec_cli.errors import ConfigError

Text = Annotated[str, Meta(min_length=1)]


class Published(Struct, forbid_unknown_fields=True):
    """What the paper prints."""

    accuracy: float
    ndcg: float
    f1: float
    seconds_per_epoch: float | None = None


class Reference(Struct, forbid_unknown_fields=True):
    """What the published code gives: pairs of accuracy and F1; lowest and highest nDCG."""

    outcomes: Annotated[list[tuple[float, float]], Meta(min_length=1)]
    ndcg: tuple[float, float]


class Tolerance(Struct, forbid_unknown_fields=True):
    """How near ours must be."""

    outcome: float
    ndcg: float


class Row(Struct, forbid_unknown_fields=True):
    """One row: overrides of ``dagrec train``, and what is published of it."""

    name: Text
    overrides: list[str]
    paper: Published | None = None
    reference: Reference | None = None
    tolerance: Tolerance | None = None
    why: str = ""


class RowsTable(Struct, forbid_unknown_fields=True):
    """A table of rows; one for each override in ``vary``."""

    rows: Annotated[list[Row], Meta(min_length=1)]
    title: Text | None = None
    base: list[str] = []
    seeds: tuple[int, ...] = (0,)
    vary: Annotated[list[str], Meta(min_length=1)] | None = None


class Tables(Struct, forbid_unknown_fields=True):
    """Several tables, one after another."""

    tables: Annotated[list[Text], Meta(min_length=1)]
    title: str = ""


def check_table(name: str, table: Any) -> None:
    """Raise ConfigError if a table's content, as plain containers, is not as it must be."""
    is_several = isinstance(table, dict) and "tables" in table
    try:
        if is_several:
            msgspec.convert(table, Tables)
            return
        content = msgspec.convert(table, RowsTable)
    except msgspec.ValidationError as error:
        reason = str(error).replace(" - at `$.", " at `").replace(" - at `$`", "")
        raise ConfigError(f"table {name}: {reason}; see configs/table/*.yaml.") from error
    for row in content.rows:
        if row.paper and not (row.reference and row.tolerance):
            raise ConfigError(
                f"table {name}: row {row.name!r} has a paper but no reference or tolerance; "
                "say what its code gives, and how near ours must be."
            )
    (most, times), *_ = Counter(row.name for row in content.rows).most_common()
    if times > 1:
        raise ConfigError(
            f"table {name}: {times} rows are called {most!r}; give each its own name."
        )
