"""The lines below a table: what its figures rest on, of one run and of rows side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from dagrec_cli.data.held_out import told, warnings_of
from dagrec_cli.data.invalid import count_dropped
from dagrec_cli.errors import plural
from dagrec_cli.evaluation.ceiling import CEILINGS
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.runs.result import DataFacts

KNOWS_ALL = "nothing"


def basis(rows: Sequence[TableRow]) -> list[str]:
    """Return what the numbers of finished rows about the same test pairs rest on, in lines.

    Where rows differ, what most have comes first. What ties are is the last line.
    """
    masked = [row for row in rows if row.runs[0].finished.model.mask == "hard"]
    unknown = _joint(rows, _not_known)
    ties = _joint(rows, lambda row: row.runs[0].finished.tie_rule)
    return [
        f"n = {_joint(rows, _pairs)}; seeds {_joint(rows, _seeds)}; {_interval(rows)}.",
        *_about_data(rows[0].runs[0].finished.data),
        *([] if unknown == KNOWS_ALL else [f"Unknown to the model: {unknown}."]),
        f"Leakage: {_joint(rows, _leakage)}.",
        *_held_out(rows),
        *([f"A hard mask knows the edges {_joint(masked, _mask)}."] if masked else []),
        f"Ties: {ties}; accuracy takes the first of equal services.",
    ]


def ceilings_note(names: Iterable[str]) -> str:
    """Return what the ceilings of some names are."""
    return f"Ceilings: {'; '.join(CEILINGS[name][1] for name in names)}."


def _joint(rows: Sequence[TableRow], tell: Callable[[TableRow], str]) -> str:
    """Return what is said of all rows; ``0, 1; Popularity: 0`` where they differ."""
    texts = {row.name: tell(row) for row in rows}
    common = max(texts.values(), key=list(texts.values()).count)
    return "; ".join([common, *(f"{n}: {text}" for n, text in texts.items() if text != common)])


def _interval(rows: Sequence[TableRow]) -> str:
    """Return what stands beside a mean, and over what it was drawn."""
    over, spread = "groups of equal compositions", "mean ± standard deviation over {}, "
    if rows[0].is_averaged:
        over, spread = "other data of this size", spread.format("parts")
    elif any(row.n_seeds > 1 for row in rows):
        over, spread = f"{over} and seeds", spread.format("seeds")
    else:
        spread = ""
        if len(rows) == 1 and not rows[0].is_testable:
            over += "; of other seeds it says nothing"
    return f"{spread}[95 % interval over {over}]"


def _pairs(row: TableRow) -> str:
    parts = [runs[0].finished.data for runs in row.parts]
    choices, settings = row.runs[0].result.choices, row.runs[0].config["split"]
    if len(parts) > 1:
        settings = {key: value for key, value in settings.items() if key != "part"}
    split = " ".join(f"{k}={v}" for k, v in settings.items() if _is_told(k, v, settings))
    return (
        f"{_parts(row)}{_range([part.test for part in parts], f'{_side(row)}pair')} in "
        f"{_range([part.test_groups for part in parts], 'group')}, data={choices.get('data')} "
        f"split={choices.get('split')}{split and f' ({split})'}"
    )


def _about_data(data: DataFacts) -> list[str]:
    """Return how large the data are, whether contexts merge, and what of the files is not there."""
    links = "several links lead" if data.merges else "at most one link leads"
    lines = [
        f"Data: {plural(data.compositions, 'composition')}, {plural(data.pairs, 'pair')}, "
        f"{plural(data.services, 'service')} that follow; {links} to a node of a context."
    ]
    if data.left_out:
        lines.append(f"Left out: {data.left_out}.")
    if data.dropped:
        lines.append(f"Dropped from compositions: {count_dropped(data.dropped)}.")
    return lines


def _not_known(row: TableRow) -> str:
    """Return what of the test a row's model does not know, and what becomes of that."""
    parts = [runs[0].finished for runs in row.parts]
    unseen = [part.unseen for part in parts if part.unseen]
    if not unseen:
        return KNOWS_ALL
    tested = sum(part.data.test for part in parts)
    emptied = sum(each.emptied for each in unseen) / tested
    return (
        f"{_range([each.nodes for each in unseen], 'node')} and "
        f"{_range([each.services for each in unseen], 'target service')} of the data, which are "
        f"{sum(each.targets for each in unseen) / tested:.1%} of the {_side(row)}targets and in "
        f"{sum(each.contexts for each in unseen) / tested:.1%} of their contexts"
        f"{f' ({emptied:.1%} hold nothing else)' * bool(emptied)}; {parts[0].rule}"
    )


def _is_told(key: str, value: object, split: Mapping[str, object]) -> bool:
    """Return whether a setting of the split says what the test pairs are."""
    if key == "test_share":
        return not split.get("folds")
    is_idle = value is None or (key, value) == ("repeats", 1)
    return not is_idle and key not in ("_target_", "graph")


def _parts(row: TableRow) -> str:
    """Return how many parts there are and which, empty of a single one."""
    part = row.runs[0].finished.data.part
    if part is None or len(row.parts) == 1:
        return ""
    there = ", ".join(str(runs[0].part) for runs in row.parts)
    named = f"only {there} of {part.of}" if row.missing else f"{part.of}"
    return f"{named} parts of "


def _range(numbers: Sequence[int], noun: str) -> str:
    """Return ``3 pairs``, or ``3 to 5 pairs`` where parts differ."""
    low, high = min(numbers), max(numbers)
    return f"{low:,} to " * (low < high) + plural(high, noun)


def _seeds(row: TableRow) -> str:
    """Return the seeds, and whether several runs of one part have the same one."""
    of_parts = [[seed for run in runs for seed in run.seeds] for runs in row.parts]
    distinct = sorted({seed for seeds in of_parts for seed in seeds})
    is_pooled = any(len(set(seeds)) < len(seeds) for seeds in of_parts)
    pooled = f" (in {len(row.runs)} runs)" if is_pooled else ""
    if any(len(set(seeds)) < len(distinct) for seeds in of_parts):
        pooled += " (some parts lack some)"
    return ", ".join(map(str, distinct)) + pooled


def _leakage(row: TableRow) -> str:
    if trained_on := row.runs[0].finished.trained_on:
        return (
            f"the model was trained on {trained_on}: where the data overlap, these pairs may have "
            "been trained on"
        )
    leakages = [run.finished.data.leakage for run in row.runs]
    pairs, contexts = np.mean([(each.pairs, each.contexts) for each in leakages], axis=0)
    return (
        f"{pairs:.0%} of {_side(row)}pairs and {contexts:.0%} of their contexts also occur in "
        "training"
    )


def _held_out(rows: Sequence[TableRow]) -> list[str]:
    """Return how the test pairs were held out, if a run tells, and warnings of validation pairs."""
    lines: dict[str, None] = {}
    for row in rows:
        parts = [runs[0].finished for runs in row.parts]
        for side in dict.fromkeys((parts[0].evaluated_on, "validation")):
            sides = [part.data.held_out[side] for part in parts if side in part.data.held_out]
            is_tested = side == parts[0].evaluated_on
            found = told(sides) if is_tested else warnings_of(sides, "validation: ")
            lines |= dict.fromkeys(found)
    return list(lines)


def _mask(row: TableRow) -> str:
    run = row.runs[0]
    known = {"all": "all pairs, test pairs too", "train": "training pairs only"}
    edges = f"that {run.source} knew" if run.source else f"of {known[run.config['split']['graph']]}"
    n = sum(runs[0].finished.data.forbidden_test_targets for runs in row.parts)
    return f"{edges}, and rules out {plural(n, f'{_side(row)}target')}"


def _side(row: TableRow) -> str:
    """Return what pairs are called that were evaluated: ``test ``; empty where all were."""
    side = row.runs[0].finished.evaluated_on
    return "" if side == "all" else f"{side} "
