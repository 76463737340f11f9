from collections.abc import Iterator

import pytest
import torch

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.training import hardware


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_small_data_gets_one_thread(tiny: Dataset) -> None:
    assert hardware.set_threads("auto", tiny) == 1


def test_large_data_gets_all_cores_also_after_small_data(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "ALL_THREADS", 2)
    hardware.set_threads("auto", tiny)
    monkeypatch.setattr(hardware, "SMALL_EPOCH", 1)
    assert hardware.set_threads("auto", tiny) == torch.get_num_threads() == 2


def test_a_number_is_taken_as_it_is(tiny: Dataset) -> None:
    assert hardware.set_threads(2, tiny) == torch.get_num_threads() == 2
