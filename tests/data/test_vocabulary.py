"""Names of nodes to their numbers: in full, or without the prefix of their kind."""

import pytest

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
    assert NODES[vocabulary.lookup(name) - 1] == name
    assert vocabulary.lookup(name, is_whole=True) == vocabulary.lookup(name)


@pytest.mark.parametrize(
    ("name", "meant"), [("5", "service_5"), ("4", "table_4"), ("service_4", "table_service_4")]
)
def test_a_name_may_lack_its_prefix(vocabulary: Vocabulary, name: str, meant: str) -> None:
    assert NODES[vocabulary.lookup(name) - 1] == meant


def test_a_short_name_of_two_nodes_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(DataError, match=r"ambiguous node '3'; write table_3 or service_3\."):
        vocabulary.lookup("3")


@pytest.mark.parametrize("name", ["3", "service_4", "5"])
def test_a_name_that_a_reader_gives_is_not_completed(vocabulary: Vocabulary, name: str) -> None:
    with pytest.raises(DataError, match=f"unknown node '{name}'"):
        vocabulary.lookup(name, is_whole=True)
