import pytest

from dagrec_cli.config.metric_names import METRICS
from dagrec_cli.reporting.tables import Table, latex_text

SUMMARY = {"mean": 0.541, "std": 0.0021, "low": 0.485, "high": 0.5971}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service_308", r"service\_308"),
        ("50 % & more", r"50 \% \& more"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$#^~<>|", r"\$\#\textasciicircum{}\textasciitilde{}\textless{}\textgreater{}\textbar{}"),
        (".5 ± .1 ≈", r".5 $\pm$ .1 $\approx$"),
        ("-.0049", "$-$.0049"),
        ("DAG-GNN", "DAG-GNN"),
        ("two\nlines", "two lines"),
        ('"a" and "b", 3"', "``a'' and ``b'', 3''"),
    ],
)
def test_text_is_printed_as_it_stands(text: str, expected: str) -> None:
    assert latex_text(text) == expected


def test_a_table_has_an_interval_below_each_mean() -> None:
    rows = [{"row": "a_b", "f1": SUMMARY, "p": None}, {"row": "c", "f1": {**SUMMARY, "low": None}}]
    lines = Table("T & U", ["row", "f1", "p"], rows, ["n = 5 %"]).to_latex().splitlines()
    top = lines.index(r"\toprule")
    assert lines[top - 1] == r"\begin{tabular}{lrr}"
    assert lines[top + 1 : lines.index(r"\bottomrule")] == [
        r"row & F1 & p \\",
        r"\midrule",
        r"a\_b & .5410 $\pm$ .002 & -- \\",
        r" & \scriptsize {[}.485, .597{]} &  \\",
        r"c & .5410 $\pm$ .002 & -- \\",
    ]
    assert r"\caption{T \& U}" in lines
    assert r"n = 5 \%\par" in lines
    assert [line.count("{") - line.count("}") for line in lines if "caption" in line] == [0]


def test_a_wide_table_leaves_out_what_can_be_spared() -> None:
    columns = ["row", *METRICS, "seconds_per_epoch"]
    text = Table("", columns, [{"row": "a"}]).to_latex()
    assert r"row & accuracy & recall & F1 & nDCG & MRR & HR@3 & HR@5 & s/epoch \\" in text
    assert "% Left out, since a page is too narrow: precision, HR@1" in text.splitlines()


def test_the_best_of_each_test_is_bold_and_bounds_are_not() -> None:
    def row(name: str, test: str, mean: float, seeds: int | None = 1) -> dict[str, object]:
        return {"row": name, "test": test, "f1": {**SUMMARY, "mean": mean}, "seeds": seeds}

    rows = [row("a", "x", 0.5), row("b", "x", 0.25), row("ceiling", "x", 0.75, None)]
    text = Table("T", ["row", "f1"], [*rows, row("a", "y", 0.25)]).to_latex()
    assert [line.split(" $")[0] for line in text.splitlines() if "$" in line] == [
        r"a & \textbf{.5000",
        "b & .2500",
        "ceiling & .7500",
        "a & .2500",  # alone on its test
    ]
    assert r"\textbf{.5000 $\pm$ .002} \\" in text


def test_tables_of_one_name_have_labels_of_their_own() -> None:
    def label(*notes: str, row: str = "a") -> str:
        text = Table("T", ["row"], [{"row": row}], [*notes], "my_table").to_latex()
        return next(line for line in text.splitlines() if line.startswith(r"\label{tab:my-table-"))

    assert label("n = 3") == label("n = 3", "more")
    assert len({label("n = 3"), label("n = 4"), label("n = 3", row="b")}) == 3
