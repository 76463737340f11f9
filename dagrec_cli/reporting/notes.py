"""The lines below a table: what its figures rest on, of one result and of rows side by side."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dagrec_cli.data.held_out import told
from dagrec_cli.data.invalid import count_dropped
from dagrec_cli.errors import plural
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.runs.result import Finished

KNOWS_ALL = "nothing"
TIES = "Ties: {}; accuracy takes the first of equal services."


def notes_of(result: Finished) -> list[str]:
    """Return the lines below a result's table: what its figures rest on."""
    data = result.data
    side = "" if result.evaluated_on == "all" else f"{result.evaluated_on} "
    seeds, spread, over = "seed", "", ""
    if len(result.seeds) > 1:
        seeds, spread, over = "seeds", "mean ± standard deviation over them, ", " and seeds"
    elif result.model.parameters:
        over = "; of other seeds it knows nothing"
    notes = [
        f"n = {plural(data.test, f'{side}pair')} of {data.pairs:,}, in "
        f"{plural(data.test_groups, 'group')} of equal compositions; "
        f"{seeds} {', '.join(map(str, result.seeds))}; "
        f"{spread}[95 % interval over groups{over}].",
        f"Leakage: {_shared(data.leakage.pairs, data.leakage.contexts, side)}."
        if not result.trained_on
        else f"The model was trained on {result.trained_on}: where the data overlap, pairs tested "
        "here may have been trained on.",
        *_split_notes(result),
        TIES.format(result.tie_rule),
    ]
    if result.model.mask == "hard":
        n_forbidden = data.forbidden_test_targets
        notes.append(f"Hard mask: {n_forbidden:,} {side}targets are ruled out by it.")
    notes += _ceiling_notes(result, side)
    if data.left_out:
        notes.append(f"Left out: {data.left_out}.")
    if data.dropped:
        notes.append(f"Dropped from compositions: {count_dropped(data.dropped)}.")
    if unseen := result.unseen:
        left = f" ({unseen.emptied:,} with nothing else)" if unseen.emptied else ""
        notes.append(
            f"Unseen by the model: {plural(unseen.nodes, 'node')} and "
            f"{plural(unseen.services, 'target service')} of the data; such a node is in the "
            f"context of {plural(unseen.contexts, 'pair')} here{left}, such a service the target "
            f"of {plural(unseen.targets, 'pair')}. Rule: {result.rule}."
        )
    return notes


def _ceiling_notes(result: Finished, side: str) -> list[str]:
    """Return what the ceiling below a row is, and who is named because the model reads owners."""
    if "law" in result.ceilings:
        return [
            "Ceiling: the best predictor in expectation, which knows the data's law; on these "
            "pairs a model may be luckier."
        ]
    if "owner" not in result.ceilings:
        return [
            f"Static ceiling: the best function of the whole context, chosen on these {side}pairs."
        ]
    return [
        "Static ceiling: the best function of the whole context and whose it is, chosen on these "
        f"{side}pairs.",
        "The model reads owners, so vocabulary.json holds their names.",
    ]


def _split_notes(result: Finished) -> list[str]:
    """Return how what is evaluated was held out, and what is to be said of validation."""
    notes = []
    for side, held_out in result.data.held_out.items():
        if side == result.evaluated_on:
            notes += held_out.told()
        elif side == "validation":
            notes += [f"Warning: validation: {warning}." for warning in held_out.warnings]
    return notes


def basis(rows: Sequence[TableRow]) -> list[str]:
    """Return what the numbers of finished rows about the same test pairs rest on.

    That is n, split, seeds, leakage, groups, mask and ties; where rows differ, what most have
    comes first.
    """
    masked = [row for row in rows if row.runs[0].finished.model.mask == "hard"]
    ties = _joint(rows, lambda row: row.runs[0].finished.tie_rule)
    spread, over = "", "groups of equal compositions"
    if rows[0].is_averaged:
        spread, over = "mean ± standard deviation over parts, ", "other data of this size"
    elif any(row.n_seeds > 1 for row in rows):
        spread, over = "mean ± standard deviation over seeds, ", f"{over} and seeds"
    return [
        f"n = {_joint(rows, _pairs)}; seeds {_joint(rows, _seeds)}; {spread}[95 % interval "
        f"over {over}].",
        f"Data: {_data_size(rows[0])}.",
        *_not_known(rows),
        f"Leakage: {_joint(rows, _leakage)}.",
        *_held_out(rows),
        *([f"A hard mask knows the edges {_joint(masked, _mask)}."] if masked else []),
        TIES.format(ties),
    ]


def _joint(rows: Sequence[TableRow], tell: Callable[[TableRow], str]) -> str:
    """Return what is said of all rows; ``0, 1; Popularity: 0`` where they differ."""
    texts = {row.name: tell(row) for row in rows}
    common = max(texts.values(), key=list(texts.values()).count)
    return "; ".join([common, *(f"{n}: {text}" for n, text in texts.items() if text != common)])


def _pairs(row: TableRow) -> str:
    parts = [runs[0] for runs in row.parts]
    choices, settings = row.runs[0].result.choices, row.runs[0].config["split"]
    split = " ".join(f"{k}={v}" for k, v in settings.items() if _is_told(k, v, settings))
    numbers = zip(*(part.predictions.membership for part in parts), strict=True)
    groups, n, _ = (len(np.unique(np.concatenate(each))) for each in numbers)
    return (
        f"{_parts(row)}{_range([part.finished.data.test for part in parts])} {_side(row)} pairs of "
        f"{plural(n, 'composition')} in {plural(groups, 'group')}, data={choices.get('data')} "
        f"split={choices.get('split')}{split and f' ({split})'}"
    )


def _data_size(row: TableRow) -> str:
    """Return how large the data are that all rows share, and whether contexts merge."""
    data = row.runs[0].finished.data
    links = "several links lead" if data.merges else "at most one link leads"
    return (
        f"{plural(data.compositions, 'composition')}, {plural(data.pairs, 'pair')}, "
        f"{plural(data.services, 'service')} that follow; {links} to a node of a context"
    )


def _not_known(rows: Sequence[TableRow]) -> list[str]:
    """Return what of the test models do not know, if there is anything."""
    unknown = _joint(rows, _not_known_share)
    return [] if unknown == KNOWS_ALL else [f"Unknown to the model: {unknown}."]


def _not_known_share(row: TableRow) -> str:
    """Return what of the test a row's model does not know."""
    parts = [runs[0].finished for runs in row.parts]
    tested = sum(part.data.test for part in parts)
    unseen = [part.unseen for part in parts if part.unseen]
    targets, contexts = (sum(u.targets for u in unseen), sum(u.contexts for u in unseen))
    if not (targets or contexts):
        return KNOWS_ALL
    return (
        f"{targets / tested:.1%} of the {_side(row)} targets, and some node of "
        f"{contexts / tested:.1%} of their contexts"
    )


def _is_told(key: str, value: object, split: Mapping[str, object]) -> bool:
    """Return whether a setting of the split says what the test pairs are."""
    if key == "test_share":
        return not split.get("folds")
    is_idle = value is None or (key, value) == ("repeats", 1)
    return not is_idle and key not in ("_target_", "graph", "part")


def _parts(row: TableRow) -> str:
    """Return how many parts there are and which, empty if the split has one."""
    part = row.runs[0].finished.data.part
    if part is None:
        return ""
    there = ", ".join(str(runs[0].part) for runs in row.parts)
    named = f"only {there} of {part.of}" if row.missing else f"{part.of}"
    return f"{named} parts of "


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


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
    run = row.runs[0]
    if run.source:
        return f"the saved model of {run.source} may have been trained on these pairs"
    pairs, contexts = np.mean(
        [(run.finished.data.leakage.pairs, run.finished.data.leakage.contexts) for run in row.runs],
        axis=0,
    )
    return _shared(pairs, contexts, f"{_side(row)} ")


def _held_out(rows: Sequence[TableRow]) -> list[str]:
    """Return how the test pairs were held out, which is the same for all, if a run tells."""
    for row in rows:
        results = [runs[0].finished for runs in row.parts]
        found = [result.data.held_out.get(result.evaluated_on) for result in results]
        if sides := [side for side in found if side]:
            return told(sides)
    return []


def _mask(row: TableRow) -> str:
    run = row.runs[0]
    known = {"all": "all pairs, test pairs too", "train": "training pairs only"}
    edges = f"that {run.source} knew" if run.source else f"of {known[run.config['split']['graph']]}"
    n = sum(runs[0].finished.data.forbidden_test_targets for runs in row.parts)
    return f"{edges}, and rules out {plural(n, f'{_side(row)} target')}"


def _side(row: TableRow) -> str:
    return row.runs[0].finished.evaluated_on


def _shared(pairs: float, contexts: float, side: str) -> str:
    """Return what a test shares with training; the side's name ends in a space, or is empty."""
    return f"{pairs:.0%} of {side}pairs and {contexts:.0%} of their contexts also occur in training"
