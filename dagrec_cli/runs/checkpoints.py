"""The checkpoints of a run folder: one file each, the newest two of every seed."""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path

from dagrec_cli.data.plain_files import check_own_folder, read_plain, remove_leftovers
from dagrec_cli.errors import RunError
from dagrec_cli.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    EVENTS,
    MLFLOW_RUN,
    RESULT,
    RunFolder,
)
from dagrec_cli.training.checkpoint import pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.state import TrainingState

KEPT = 2  # the newest, and the one before it in case the newest is damaged


class CheckpointStore:
    """Keeps the checkpoints of one seed.

    Parameters
    ----------
    run
        The run folder.
    seed
        Which seed.
    warn
        Told, in one line, of a checkpoint that cannot be used.

    Raises
    ------
    RunError
        If their folder is a link.
    """

    def __init__(self, run: RunFolder, seed: int, warn: Callable[[str], None]) -> None:
        self.path = run.path / CHECKPOINTS
        check_own_folder(self.path)
        self.seed = seed
        self.warn = warn

    @property
    def files(self) -> list[Path]:
        """The checkpoints, newest first."""
        return sorted(self.path.glob(f"seed{self.seed}_epoch*.safetensors"), reverse=True)

    def load(self, state: TrainingState) -> None:
        """Bring a training to the newest checkpoint that is whole, if there is any.

        Raises
        ------
        RunError
            If there are checkpoints, but none of them can be used.
        """
        remove_leftovers(self.path)
        files = self.files
        for file, before in zip_longest(files, files[1:]):
            try:
                state.load(unpack_checkpoint(read_plain(file)))
            except RunError as error:
                line = f"{file}: {error}"
                if before is None:
                    raise RunError(f"{line}; run it again.") from error
                self.warn(f"{line}; continuing from {before.name}.")
            else:
                return

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint; an older one is removed only when the new one is whole."""
        name = f"seed{self.seed}_epoch{state.epoch:07}.safetensors"
        content = pack_checkpoint(state.checkpoint())
        RunFolder(self.path).write(name, lambda file: file.write(content))
        for file in self.files[KEPT:]:
            file.unlink()


def has_checkpoints(path: Path, seeds: Iterable[int]) -> bool:
    """Return whether a run folder has a checkpoint of each of some seeds."""
    return all(any((path / CHECKPOINTS).glob(f"seed{seed}_epoch*.safetensors")) for seed in seeds)


def forget(run: RunFolder) -> None:
    """Remove what an earlier run left in the folder that could be taken for the new one's."""
    for name in (CONFIG, RESULT, MLFLOW_RUN, CHECKPOINTS, EVENTS):
        run.remove(name)
