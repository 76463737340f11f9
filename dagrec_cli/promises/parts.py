"""What every loss, every sampler and every reader promises."""

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Generator, Tensor

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE, Composition, Invalid
from dagrec_cli.data.dataset import build_dataset
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.errors import DataError
from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.promises.models import SAME_SCORE
from dagrec_cli.promises.worlds import Records
from dagrec_cli.samplers.base import Sampler

SERVICES = 6
EXTREME = 1e4  # a score
COUNTS = (0.0, 40.0, 1.0, 0.0, 9.0, 25.0, 0.0)  # of services as training targets
N_DRAWN = 200_000
DEVIATIONS = 5  # of a Poisson number; a true one is further away in 1 of 2 million draws
N_DAMAGED = 100  # files


def per_row(loss: Loss, scores: Tensor, target: Tensor) -> Tensor:
    """Give a loss what it asks for: all scores, or the target's and those of all others."""
    if isinstance(loss, CatalogueLoss):
        return loss(scores, target)
    assert isinstance(loss, SampledLoss)
    is_target = torch.nn.functional.one_hot(target, scores.shape[1]).bool()
    return loss(scores[is_target][:, None], scores[~is_target].view(len(scores), -1))


def _with_gradient(loss: Loss, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    scores.requires_grad_()
    found = per_row(loss, scores, target)
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    return found.detach(), scores.grad


def has_a_loss_per_row(loss: Loss) -> str:
    """Give a loss for each row, of that row alone.

    Return a vector, one number per row of the scores; the trainer weighs and averages the rows.
    """
    torch.manual_seed(0)
    scores, target = torch.randn(8, SERVICES), torch.randint(SERVICES, (8,))
    found = per_row(loss, scores, target)
    if found.shape != (8,):
        return f"a loss of shape {[*found.shape]} instead of [8]"
    alone = torch.cat([per_row(loss, scores[[k]], target[[k]]) for k in range(8)])
    return (
        ""
        if torch.allclose(found, alone, atol=SAME_SCORE)
        else "another loss where rows come alone"
    )


def is_finite_at_extremes(loss: Loss) -> str:
    """Stay finite at extreme scores, and let a target that is beaten cost more.

    Compute log-sigmoid and log-softmax by torch's functions of that name, not as the logarithm of
    a probability, which may be 0.
    """
    for extreme in (EXTREME, -EXTREME):
        scores = torch.zeros(2, SERVICES)
        scores[0, 1] = scores[1, 0] = extreme
        found, gradient = _with_gradient(loss, scores, torch.tensor([1, 1]))
        if not (found.isfinite().all() and gradient.isfinite().all()):
            return f"a loss or gradient that is not finite, where a score is {extreme:,.0f}"
        good, bad = found if extreme > 0 else found.flip(0)  # a target on top, a target beaten
        if not bad > good:
            return f"a target on top costs {good:.3g}, one that is beaten {bad:.3g}"
    return ""


def raises_the_target(loss: Loss) -> str:
    """Raise the target's score, by a step down the gradient.

    Look at the sign: a loss is what training makes small.
    """
    torch.manual_seed(0)
    scores, target = torch.randn(8, SERVICES), torch.randint(SERVICES, (8,))
    _, gradient = _with_gradient(loss, scores, target)
    sinks = int((gradient.gather(1, target[:, None]) >= 0).sum())
    return f"the target's score does not rise in {sinks} of 8 rows" if sinks else ""


def ignores_what_is_masked(loss: Loss) -> str:
    """Charge nothing for services that the mask rules out (minus infinity).

    Leave them out of means and products: 0 times minus infinity is no number.
    """
    if loss.needs_negatives:  # is given no such scores
        return ""
    torch.manual_seed(0)
    scores, target = torch.randn(4, SERVICES), torch.tensor([0, 1, 2, 0])
    masked = torch.cat([scores, torch.full((4, 3), -torch.inf)], dim=1)
    found, gradient = _with_gradient(loss, masked, target)
    if not gradient.isfinite().all():
        return "a gradient that is not finite"
    is_equal = torch.allclose(found, per_row(loss, scores, target), atol=SAME_SCORE)
    return "" if is_equal else "another loss than without them"


def prepared(node: DictConfig, n_sample: int = 64) -> Sampler:
    """Return the sampler of a config node, which knows how often each service is a target."""
    sampler: Sampler = build(OmegaConf.merge(node, {"n_sample": n_sample}), "sampler", kind=Sampler)  # type: ignore[arg-type]
    sampler.prepare(torch.tensor(COUNTS))
    return sampler


def _sampled(sampler: Sampler, target: Tensor, seed: int = 0) -> Tensor:
    return sampler.sample(target, Generator().manual_seed(seed))


def draws_others(node: DictConfig) -> str:
    """Draw n_sample services of the catalogue for each row, never the target.

    Leave the target out before drawing; drawing again until it is another one may never end.
    """
    sampler, target = prepared(node), torch.tensor([1, 2, 4, 5]).repeat(50)
    found = _sampled(sampler, target)
    if found.shape != (200, 64):
        return f"negatives of shape {[*found.shape]} instead of [200, 64]"
    if found.min() < 0 or found.max() >= len(COUNTS):
        return f"class {int(found.max())} of a catalogue of {len(COUNTS)}"
    return "a target among its own negatives" * bool((found == target[:, None]).any())


def draws_as_expected(node: DictConfig) -> str:
    """Draw each service as often as log_expected says.

    Return the logarithm of n_sample times the probability of each negative given that row's target;
    minus infinity for what is never drawn.
    """
    sampler, target = prepared(node, N_DRAWN), torch.tensor([5])
    for valid in (None, [0, 2, 3, 5, 6], [0, 1, 3, 4, 6], [5], []):
        choices = None
        if valid is not None:
            size, classes = torch.tensor([len(valid)]), torch.tensor(valid).long()
            choices = AllowedServices(size, classes, len(COUNTS))
        drawn = sampler.sample(target, Generator().manual_seed(0), choices)
        found = torch.bincount(drawn[0], minlength=len(COUNTS))
        every = torch.arange(len(COUNTS))[None]
        expected = sampler.log_expected(target, every, choices)[0].exp()
        expected[target] = 0
        if abs(expected.sum().item() / N_DRAWN - 1) > SAME_SCORE:
            return f"the expected numbers add up to {expected.sum():.0f} of {N_DRAWN}"
        if not ((found - expected).abs() <= DEVIATIONS * expected.sqrt()).all():
            return f"drawn {found.tolist()}, expected {[round(x) for x in expected.tolist()]}"
    return ""


def draws_from_the_generator(node: DictConfig) -> str:
    """Draw the same from the same generator, and others from another.

    Pass generator= to every torch function that draws, or a resumed run ends elsewhere.
    """
    sampler, target = prepared(node), torch.tensor([1, 4])
    if not torch.equal(_sampled(sampler, target), _sampled(sampler, target)):
        return "other negatives from a generator of the same seed"
    is_equal = torch.equal(_sampled(sampler, target), _sampled(sampler, target, seed=1))
    return "the same negatives from generators of two seeds" * is_equal


class ReaderOption:
    """An option of the group ``data`` that reads files, and the example beside its YAML.

    Parameters
    ----------
    node
        What its YAML composes to.
    place
        Where the YAML lies, without its ending.
    """

    def __init__(self, node: DictConfig, place: Path) -> None:
        self.node = node
        self.place = place

    @property
    def example(self) -> Path:
        """A small file of its format.

        Raises
        ------
        DataError
            If there is none.
        """
        beside = sorted(self.place.parent.glob(f"{self.place.name}.*"))
        for file in beside:
            if file.suffix != ".yaml":
                return file
        raise DataError(
            f"no example beside {self.place}.yaml; put a small file of its format there."
        )

    def read(self, path: Path) -> list[Composition | Invalid]:
        """Return what it yields of a file."""
        node = OmegaConf.merge(self.node, {"path": str(path)})
        reader: Reader = build(node, "data", kind=Reader)  # type: ignore[arg-type]
        return [*reader.read()]


def reads_the_example(option: ReaderOption) -> str:
    """Read the example: compositions with steps, none invalid.

    The example is the file beside the YAML that has its name (data/NAME.txt, .csv, …).
    """
    items = option.read(option.example)
    for item in items:
        if isinstance(item, Invalid) and item.is_fault:
            return str(item.faults[0])
    found = [item for item in items if isinstance(item, Composition)]
    return "" if found and len(build_dataset(Records([*found])).pairs.target) else "no step"


def names_kinds(option: ReaderOption) -> str:
    """Begin names of services with service_, those of tables with table_.

    Use PREFIX_SERVICE and PREFIX_TABLE of dagrec_cli.data.composition, and say the kind of each
    node in is_service.
    """
    prefix = {True: PREFIX_SERVICE, False: PREFIX_TABLE}
    for item in option.read(option.example):
        if isinstance(item, Composition):
            for name, is_service in zip(item.names, item.is_service, strict=True):
                if name.partition("_")[0] + "_" != prefix[is_service] or name in prefix.values():
                    return f"{name!r}, where is_service is {is_service}"
    return ""


def reads_the_same_again(option: ReaderOption) -> str:
    """Read a file again the same.

    Keep nothing in the reader between two files; no set of which the order counts.
    """
    items = [option.read(option.example) for _ in range(2)]
    return "" if items[0] == items[1] else "something else"


def survives_damage(option: ReaderOption) -> str:
    """Take a damaged file for a fault in one line, never a traceback.

    Yield Invalid for a composition that is not as it must be, and raise DataError, with the file's
    path before what is wrong, where nothing more can be read.
    """
    whole, draw = option.example.read_bytes(), random.Random(0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / option.example.name
        for _ in range(N_DAMAGED):
            path.write_bytes(_damaged(whole, draw))
            try:
                option.read(path)
            except DataError as error:
                if "\n" in str(error) or not str(error).startswith(str(path)):
                    return f"the message {str(error)!r} of a damaged file"
            except Exception as error:
                return f"{type(error).__name__}: {error}, of a damaged file"
    return ""


def _damaged(whole: bytes, draw: random.Random) -> bytearray:
    """Return a file with some bytes lost, or replaced by others or by a part of the file."""
    data = bytearray(whole)
    for _ in range(draw.randrange(1, 4)):
        start, end = sorted(draw.randrange(len(whole)) for _ in range(2))
        other = draw.choice([b"", b"", bytes([draw.randrange(256)]), whole[start:end]])
        place = draw.randrange(len(data) + 1)
        data[place : place + draw.choice([0, 1, 8, len(whole)])] = other
    return data


LOSS_PROMISES: tuple[Callable[[Loss], str], ...] = (
    has_a_loss_per_row,
    is_finite_at_extremes,
    raises_the_target,
    ignores_what_is_masked,
)
SAMPLER_PROMISES: tuple[Callable[[DictConfig], str], ...] = (
    draws_others,
    draws_as_expected,
    draws_from_the_generator,
)
READER_PROMISES: tuple[Callable[[ReaderOption], str], ...] = (
    reads_the_example,
    names_kinds,
    reads_the_same_again,
    survives_damage,
)
