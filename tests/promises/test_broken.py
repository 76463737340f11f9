"""Each promise is kept by what ``dagrec new`` writes, and broken by one change of it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dagrec_cli.commands.new import GROUP, filled
from dagrec_cli.config.compose import composed
from dagrec_cli.promises.folder import PROMISED, ask

OWN = {  # of what has no beginning by dagrec new: a built-in option, and a class that is as that
    "split": (
        "composition",
        """
import numpy as np
from dagrec_cli.data.split_base import Sides
from dagrec_cli.data.splits import CompositionSplit

class Own(CompositionSplit):
    def _hold_out(self, dataset, rows, share):
        kept, held_out = super()._hold_out(dataset, rows, share)
        return Sides(kept, held_out)
""",
    ),
    "trainer": (
        "mini_batch",
        """
from secrets import randbelow
from dagrec_cli.training.mini_batch import MiniBatch

class Own(MiniBatch):
    def steps(self, pairs, epoch, seed):
        self.batch_size = 2
        yield from super().steps(pairs, epoch, seed)
""",
    ),
    "logger": (
        "csv",
        """
from dagrec_cli.loggers.base import RunLogger

class Own(RunLogger):
    def end(self, result):
        pass
""",
    ),
}
# kind, what of its code becomes what, the promise that this breaks, what is seen of it
STATE = "last = self."
BROKEN = [
    ("model", "torch.tanh(", "torch.log(", "scores_every_service", "loss"),
    ("model", "[last, mean]", "[0 * last, 0 * mean]", "tells_contexts_apart", "5 different"),
    ("model", "[last, mean]", "[last, last]", "reads_what_merges", "after t1, t2 > s1"),
    ("model", "length[:, None]", "nodes.shape[1]", "ignores_batch_and_padding", "are added"),
    ("model", "[last,", "[last - last.mean(0),", "ignores_batch_and_padding", "context alone"),
    ("model", "self.mix =", "self.idle = nn.PReLU(); self.mix =", "trains_all_weights", "idle"),
    ("model", "[last, mean]", "[0 * last, 0 * mean]", "learns_ten_pairs", "of 10 right"),
    ("model", "state: Tensor =", "state = 0.001 *", "learns_ten_pairs", "a mean loss of"),
    ("model", STATE, "last = id(object()) % 997 * self.", "repeats_itself", "with one seed"),
    ("model", STATE, "last = self.x * self.", "is_saved_whole", "saved and loaded"),
    ("model", STATE, "contexts.last.clamp_(max=2); last = self.", "leaves_the_batch", "change"),
    ("model", STATE, "last = self.x[:3][length, None] * self.", "scores_the_unseen", "IndexError"),
    ("loss", '"none"', '"mean"', "has_a_loss_per_row", "of shape [] instead of [8]"),
    ("loss", '"none")', '"none") * len(scores)', "has_a_loss_per_row", "where rows come alone"),
    ("loss", '"none")', '"none").exp()', "is_finite_at_extremes", "not finite"),
    ("loss", '"none")', '"none").neg()', "is_finite_at_extremes", "one that is beaten"),
    ("loss", '"none")', '"none").neg()', "raises_the_target", "in 8 of 8 rows"),
    ("loss", '"none")', '"none") + scores.exp().log().mean(1)', "ignores_what_is_masked", "finite"),
    ("loss", '"none")', '"none") + scores.shape[1]', "ignores_what_is_masked", "without them"),
    ("sampler", "+ (drawn >= target[:, None])", "", "draws_others", "a target among its own"),
    ("sampler", "self.n_sample)\n", "1)\n", "draws_others", "[200, 1] instead of [200, 64]"),
    ("sampler", "others, shape", "others + 1, shape", "draws_others", "class 7 of a catalogue"),
    ("sampler", "self.others, shape", "1, shape", "draws_as_expected", "drawn [200000, 0, "),
    ("sampler", "/ self.others", "", "draws_as_expected", "add up to 1200000 of 200000"),
    ("sampler", "generator=generator,", "", "draws_from_the_generator", "of the same seed"),
    ("sampler", "=generator,", "=Generator(),", "draws_from_the_generator", "of two seeds"),
    ("reader", "yield Comp", "continue\n            Comp", "reads_the_example", "no step"),
    ("reader", "not all(", "all(", "reads_the_example", "line 1: a node without a name"),
    ("reader", "PREFIX_SERVICE + node", "node", "names_kinds", "'clean', where is_service is True"),
    ("reader", "ids=nodes", "ids=[str(id(nodes))]", "reads_the_same_again", "something else"),
    ("reader", "not all(", "not line[9:].split()[0] or not all(", "survives_damage", "IndexError"),
    ("split", "(kept, h", "(held_out, h", "puts_each_pair_on_one_side", "pairs twice, of"),
    ("split", "(kept, h", "(kept[1:], h", "puts_each_pair_on_one_side", "1 pairs on no side"),
    ("split", "(kept, h", "(kept, 9999 + h", "puts_each_pair_on_one_side", "were not given"),
    ("split", "(kept, h", "(np.random.permutation(kept), h", "divides_the_same_again", "other"),
    ("trainer", "from super", "from () and super", "trains_for_its_epochs", "began with"),
    ("trainer", ", seed)\n", ", randbelow(2**40))", "trains_the_same_again", "other weights"),
    ("logger", "pass", "raise OSError('full')", "takes_in_a_run", "Own stopped (OSError: full)"),
]


def begun(kind: str, name: str, folder: Path) -> dict[Path, str]:
    """Return what ``dagrec new`` writes, or would."""
    if kind not in OWN:
        return filled(kind, name, folder)
    option, code = OWN[kind]
    node = composed("train", [f"{kind}={option}"])[kind]
    node["_target_"] = f"{name}.Own"
    return {folder / f"{name}.py": code, folder / kind / f"{name}.yaml": OmegaConf.to_yaml(node)}


def written(kind: str, name: str, folder: Path, old: str = "", new: str = "") -> Path:
    """Write what ``dagrec new`` does, with one change of its code; return its YAML."""
    for file, text in begun(kind, name, folder).items():
        file.parent.mkdir(exist_ok=True)
        if file.name == f"{name}.py":
            assert old in text
            text = text.replace(old, new)
        file.write_text(text)
    return folder / GROUP.get(kind, kind) / f"{name}.yaml"


@pytest.mark.parametrize(
    ("kind", "old", "new", "name", "seen"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each[0] == "logger")) for each in BROKEN],
)
def test_one_change_breaks_a_promise(
    kind: str,
    old: str,
    new: str,
    name: str,
    seen: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = f"own_{BROKEN.index((kind, old, new, name, seen))}"  # imported once in a process
    yaml = written(kind, module, tmp_path, old, new)
    if "self.x" in new:
        file = tmp_path / f"{module}.py"
        wide = "self.x = torch.rand(hidden); self.mix ="
        file.write_text(file.read_text().replace("self.mix =", wide))
    monkeypatch.syspath_prepend(str(tmp_path))
    promises, subject = PROMISED[yaml.parent.name]
    promise = next(each for each in promises if each.__name__ == name)
    finding = ask("own", promise, subject(OmegaConf.load(yaml), yaml.with_suffix("")), tmp_path, {})
    assert finding.outcome == "BROKEN"
    assert seen in finding.seen
    assert finding.remedy


def test_every_promise_can_be_broken() -> None:
    named = {promise.__name__ for promises, _ in PROMISED.values() for promise in promises}
    assert named == {name for *_, name, _ in BROKEN}
