"""How deep a reader of a traceback has to go: functions of ours from the command to a gradient."""

from collections.abc import Callable
from inspect import currentframe
from pathlib import Path
from traceback import walk_stack
from typing import Any

import pytest
from torch import Tensor

import dagrec_cli

PACKAGE = Path(dagrec_cli.__file__).parent
MOST = 12


def test_few_functions_lie_between_the_command_and_a_gradient(
    dagrec: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks: list[list[str]] = []
    plain = Tensor.backward

    def backward(tensor: Tensor, *arguments: Any) -> None:
        frames = [frame.f_code for frame, _ in walk_stack(currentframe())][::-1]
        inside = [code for code in frames if Path(code.co_filename).is_relative_to(PACKAGE)]
        names = [f"{Path(code.co_filename).stem}.{code.co_name}" for code in inside]
        stacks.append(names)
        plain(tensor, *arguments)

    monkeypatch.setattr(Tensor, "backward", backward)
    assert dagrec("train", "trainer.epochs=1").code == 0
    names = max(stacks, key=len)
    assert (names[0], names[-1]) == ("cli.main", "trainer._epoch")
    assert len(names) <= MOST, "\n".join(names)
