"""Names of nodes to their numbers: in full, or without the prefix of their kind."""

import pytest

from dagrec_cli.data.naming import Naming, allowed_services
from dagrec_cli.data.readers.galaxy_workflows import GalaxyWorkflows
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import DataError

# The table "3" and the service "3"; the tables "4" and "service_4"; the services "5" and "table_3".
NODES = ("service_3", "service_5", "service_table_3", "table_3", "table_4", "table_service_4")


@pytest.fixture
def vocabulary() -> Vocabulary:
    kinds = tuple(name.startswith("service_") for name in NODES)
    return Vocabulary(NODES, kinds, ("service_3", "service_5"))


@pytest.mark.parametrize("name", NODES)
def test_a_name_in_full_is_that_node(vocabulary: Vocabulary, name: str) -> None:
    for is_whole in (False, True):
        (index,) = Naming(vocabulary).nodes([name], is_whole=is_whole).nodes
        assert NODES[index - 1] == name


@pytest.mark.parametrize(
    ("name", "meant"), [("5", "service_5"), ("4", "table_4"), ("service_4", "table_service_4")]
)
def test_a_name_may_lack_its_prefix(vocabulary: Vocabulary, name: str, meant: str) -> None:
    assert Naming(vocabulary).known(name) == meant


def test_a_short_name_of_two_nodes_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(DataError, match=r"ambiguous node '3'; write table_3 or service_3"):
        Naming(vocabulary).nodes(["3"])


@pytest.mark.parametrize("name", ["3", "service_4"])
def test_a_name_that_a_reader_gives_is_not_completed(vocabulary: Vocabulary, name: str) -> None:
    with pytest.raises(DataError, match=f"unknown node '{name}'"):
        Naming(vocabulary).nodes([name], is_whole=True)


NAMES = (
    "service_bowtie2",
    "service_bwa_mem",
    "service_plot",
    "table_bowtie2_index",
    "table_orders",
)
LONG = "toolshed.g2.bx.psu.edu/repos/devteam/bowtie2/bowtie2/2.2.6"


@pytest.fixture
def tools() -> Vocabulary:
    """Three services, of which the first two ever follow, and two tables."""
    kinds = tuple(name.startswith("service_") for name in NAMES)
    return Vocabulary(NAMES, kinds, NAMES[:2])


@pytest.mark.parametrize("name", [LONG, f"service_{LONG}"])
def test_a_service_may_be_called_as_in_the_files_of_the_reader(
    tools: Vocabulary, name: str
) -> None:
    assert Naming(tools, GalaxyWorkflows.service_name).known(name) == "service_bowtie2"
    assert Naming(tools).known(name) is None
    assert Naming(tools, GalaxyWorkflows.service_name).known(f"table_{LONG}") is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ordrs", ["table_orders"]),  # not those that begin with A
        ("Bowtie", ["service_bowtie2"]),
        ("table_bowtie", []),  # a service is no table
        ("service_orders", ["table_orders"]),  # but by the same name
        ("service_x", []),  # the prefix is nothing in common
    ],
)
def test_near_names_are_of_the_whole_vocabulary(
    tools: Vocabulary, name: str, near: list[str]
) -> None:
    assert Naming(tools).near(name) == near
    said = f"nearest known names: {near[0]}" if near else "no known name is near"
    with pytest.raises(DataError, match=rf"unknown node '{name}' \({said}\)"):
        Naming(tools).nodes([name])
    if near:
        found = Naming(tools).nodes([name], "nearest")
        assert [NAMES[index - 1] for index in found.nodes] == [near[0]]
        assert found.replaced == {name: near[0]}
        assert found.unknown == ()


def test_near_names_of_very_many_are_not_looked_for(tools: Vocabulary) -> None:
    """Or one request would hold up all others."""
    with pytest.raises(DataError, match="101 unknown nodes; nearest replaces 100 at most"):
        Naming(tools).nodes([f"ordrs{k}" for k in range(101)], "nearest")


def test_a_model_may_know_what_is_unknown(tools: Vocabulary) -> None:
    fitted = Vocabulary.fitted(dict(zip(NAMES, tools.is_service, strict=True)), tools.services)
    naming = Naming(fitted)
    found = naming.nodes(["table_x", "plot", "whatever"], "model")
    assert found.replaced == {"table_x": "UNKNOWN table", "whatever": "UNKNOWN service"}
    # Behind the model's nodes, in the order of their names in full.
    behind = 1 + len(fitted.nodes)
    assert found.nodes == [behind, fitted.index["service_plot"], behind + 1]
    assert found.unknown == ("table_x", "service_whatever")
    assert naming.near("UNKNOWN servic") == []  # nobody means that
    with pytest.raises(DataError, match="unknown node 'whatever'"):
        naming.nodes(["whatever"])
    with pytest.raises(DataError, match="unknown node 'whatever'"):
        Naming(tools).nodes(["whatever"], "model")  # which has no such node


def test_allowed_services(tools: Vocabulary) -> None:
    naming = Naming(tools, GalaxyWorkflows.service_name)
    allowed, line = allowed_services([LONG, "bowtie2", "bwa_men", "plot", "table_orders"], naming)
    assert allowed.tolist() == [True, False]
    assert line == (
        "allowed: 3 of 5 names stand for no service that the model can recommend: 'bwa_men' "
        "(nearest known names: service_bwa_mem), 'plot' (nearest known names: service_plot), "
        "'table_orders' (no known name is near)"
    )
    assert allowed_services(["bwa_mem"], naming) == (pytest.approx([False, True]), "")
    for names, said in ((["plot"], "allowed: 1 of 1 name stand"), ([], "allowed names no service")):
        with pytest.raises(DataError, match=said):
            allowed_services(names, naming)
