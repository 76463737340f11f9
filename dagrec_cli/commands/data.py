"""``dagrec data …``: describe, validate, prepare, fetch, convert and export a data set."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from gzip import GzipFile
from typing import IO, TYPE_CHECKING, Annotated, Literal

from omegaconf import DictConfig

from dagrec_cli.config.build import build, check_settings
from dagrec_cli.config.kinds import Count, Natural, OneOf
from dagrec_cli.errors import ConfigError, DataError, plural

if TYPE_CHECKING:
    from dagrec_cli.data.composition import Fault, Invalid, Source


def describe(config: DictConfig) -> None:
    """Print what the data set holds."""
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.data.cache import cached_dataset
    from dagrec_cli.data.description import Description
    from dagrec_cli.reporting.description import description_lines
    from dagrec_cli.training.progress import showing

    check_settings(config, "data", "split", format=Literal["table", "json"])
    choices = HydraConfig.get().runtime.choices
    split = build(config.split, "split")
    source = build(config.data, "data")
    with showing("reading") as watch:
        description = Description.of(cached_dataset(source, watch), split, choices["split"])
    if config.format == "json":
        sys.stdout.write(f"{json.dumps(asdict(description), indent=2, ensure_ascii=False)}\n")
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"data={choices['data']}", show_header=False)
    for heading, text in description_lines(description):
        table.add_row(heading, Text(text, overflow="fold"))
    Console().print(table)


def validate(config: DictConfig) -> None:
    """Print every fault, one a line, and a last line that counts them.

    Raises
    ------
    DataError
        If there is a fault, or the file as a whole cannot be read.
    """
    from dagrec_cli.data.invalid import summarise

    check_settings(config, "data", most=Natural)
    n_read = n_invalid = n_faults = 0
    most: int = config.most
    left_out: list[Invalid] = []
    for faults in _faults_of_each(build(config.data, "data"), left_out):
        n_read += 1
        n_invalid += bool(faults)
        for fault in faults:
            n_faults += 1
            if n_faults <= most:
                sys.stdout.write(f"{fault}\n")
    if n_faults > most:
        sys.stdout.write(f"… and {n_faults - most:,} more; most={n_faults} prints them.\n")
    if n_faults:
        raise DataError(
            f"faults: {n_faults:,}, in {n_invalid:,} of {plural(n_read, 'composition')}; fix "
            "them, or train without those compositions with data.on_invalid=skip."
        )
    if not n_read:
        raise DataError("no composition in it; a file holds at least one.")
    without = f" ({summarise(left_out)})" if left_out else ""
    sys.stdout.write(f"compositions: {n_read:,}, faults: none{without}\n")


def _faults_of_each(source: "Source", left_out: "list[Invalid]") -> "Iterator[tuple[Fault, ...]]":
    """Yield the faults of every composition, none for a valid one or one that is left out."""
    from dagrec_cli.data.composition import Invalid
    from dagrec_cli.data.invalid import without_contexts

    for position, item in enumerate(source.read()):
        if isinstance(item, Invalid):
            if not item.is_fault:
                left_out.append(item)
            yield item.faults if item.is_fault else ()
        else:
            invalid = without_contexts(item, position, source)
            yield invalid.faults if invalid else ()


def prepare(config: DictConfig) -> None:
    """Prepare the data set, or one file of it, unless it is kept already, and print where."""
    from dagrec_cli.data.shards import prepare_ahead, prepare_part
    from dagrec_cli.training.progress import progress

    engine = Literal["processes", "ray"]
    check_settings(config, "data", "progress", part=Natural | None, engine=engine, n_jobs=Count)
    source = build(config.data, "data")
    if config.part is not None:
        part, path = prepare_part(source, config.part)
        sys.stdout.write(
            f"part {config.part}, {plural(len(part.start_time), 'composition')}: {path}\n"
        )
        return
    with progress(config.progress) as display:
        display.start("files", None)
        dataset, entry = prepare_ahead(
            source, engine=config.engine, n_jobs=config.n_jobs, watch=display.step
        )
    sys.stdout.write(
        f"{plural(dataset.n_compositions, 'composition')}, "
        f"{plural(len(dataset.pairs.target), 'pair')}: {entry}\n"
    )


def fetch(config: DictConfig) -> None:
    """Find or download a public data set, check its hash, and print where the file lies.

    Raises
    ------
    ConfigError
        If the data set has nothing to download.
    DataError
        If the file cannot be had, or its hash is not the pinned one.
    """
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.data.download import locate

    check_settings(config, "data")
    download = config.data.get("download")
    if not download:
        name = HydraConfig.get().runtime.choices["data"]
        raise ConfigError(f"data={name} has nothing to download; try data=geoportal.")
    path = locate(file=download.file, url=download.url, sha256=download.sha256)
    sys.stdout.write(f"{path} ({path.stat().st_size:,} bytes, sha256 {download.sha256})\n")


def convert(config: DictConfig) -> None:
    """Write every composition as a line of JSON, and say how many there are.

    Raises
    ------
    ConfigError
        If ``output`` is a file that is read.
    DataError
        At the first composition that is invalid, or too long to be read again, if
        ``data.on_invalid`` is ``error``; if the file would pack too well to be unpacked again.
    """
    from dagrec_cli.app.output import check_replaces, output_file, write_output
    from dagrec_cli.data.composition import Fault, Invalid, files_of
    from dagrec_cli.data.files import MOST_RATIO, most_unpacked
    from dagrec_cli.data.invalid import count_dropped, refuse, summarise, valid
    from dagrec_cli.data.readers.json_graph import encoded
    from dagrec_cli.data.readers.json_records import LARGEST

    check_settings(config, "data", "output", overwrite=bool)
    path = output_file(config.output)
    source = build(config.data, "data")
    check_replaces(path, files_of(source), asked=config.overwrite)
    skipped: list[Invalid] = []
    dropped: Counter[str] = Counter()
    n_written = 0

    def fill(file: IO[bytes]) -> None:
        nonlocal n_written
        packed = path.suffix == ".gz"
        with GzipFile(fileobj=file, mode="wb", mtime=0) if packed else nullcontext(file) as lines:
            for item in valid(source.read(), source.on_invalid, skipped):
                if len(line := encoded(item)) > LARGEST:
                    problem = f"longer as JSON than the {LARGEST:,} bytes that are read again"
                    fault = Fault(item.place or "a composition", problem)
                    refuse(Invalid((fault,)), source.on_invalid, skipped)
                    continue
                n_written += 1
                dropped.update(dict(item.dropped))
                lines.write(line)
            size = lines.tell()
        if packed and size > most_unpacked(file.tell()):
            raise DataError(
                f"{path}: it would unpack to more than {MOST_RATIO} times its size, which is taken "
                "for a gzip bomb; write it unpacked: output=FILE.jsonl."
            )

    write_output(path, fill)
    notes = [summarise(skipped), f"dropped: {count_dropped(dropped)}" if dropped else ""]
    without = "; ".join(filter(None, notes))
    remark = f" ({without})" if without else ""
    sys.stdout.write(f"{path}: {plural(n_written, 'composition')}{remark}\n")


def export(config: DictConfig) -> None:
    """Write a split in the format of another tool, and say how many pairs the files hold."""
    from dagrec_cli.app.output import check_replaces, output_errors, output_path
    from dagrec_cli.data.composition import files_of
    from dagrec_cli.data.dataset import build_dataset
    from dagrec_cli.export.exchange import FORMATS, check_folder
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.training.split_data import SplitData

    form = Annotated[str, OneOf(FORMATS)]
    check_settings(config, "data", "split", "output", format=form, overwrite=bool)
    path = output_path(config.output)
    check_folder(path)
    split, source = build(config.split, "split"), build(config.data, "data")
    check_replaces(path, files_of(source), asked=config.overwrite)
    data = SplitData.of(build_dataset(source), split)
    if data.stream is not None:
        raise ConfigError(
            "with split.blocks=each all steps are counted, the tested ones too, each from its time "
            "on, which two files cannot say; use split.blocks=10 split.part=0, or another split."
        )
    with output_errors(path):
        folder = RunFolder(path)
        with folder.locked("output"):
            FORMATS[config.format](folder, data)
    train, test = plural(len(data.train), "training pair"), plural(len(data.test), "test pair")
    sys.stdout.write(f"{path}: {train}, {test}\n")
