"""WfCommons workflow instances: execution traces of Pegasus, Makeflow, Nextflow and others.

A task is a service, named by its category, its program, or its name without the number of the
instance (``sifting_ID0000012`` is ``sifting``), whichever all tasks of the workflow have first; a
program is one word, since Nextflow keeps a whole script there. Of Nextflow's names the last part
counts: ``NFCORE_RNASEQ.ALIGN.STAR_14`` is ``STAR``. Links are what tasks call their parents and
their children, by id or, before version 1.5, by name.

A workflow starts when it was executed, or else when its file was made, and ends after its makespan;
the author's name is its owner.

A fault's place is file and task, ``montage.json.workflow.tasks[3]``.

Source: github.com/wfcommons/WfFormat, versions 1.0 to 1.6.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from dagrec_cli.data.composition import PREFIX_SERVICE, Composition, Fault, Invalid
from dagrec_cli.data.readers.base import moment
from dagrec_cli.data.readers.json_workflows import JsonWorkflows, Name, repeated_ids

INSTANCE = re.compile(r"(?<=.)_(ID)?\d+$")
PEGASUS = re.compile(r"^(\d\d)-(\d\d)-(\d\d)T")
NEXTFLOW = re.compile(r"[A-Z][A-Z0-9_]*[.:]")  # its workflows around a process, the outermost first


class _Command(msgspec.Struct):
    program: str | None = None

    def word(self) -> str | None:
        """Return the program without its folder, None if it is more than a word."""
        words = (self.program or "").split()
        return PurePosixPath(words[0]).name if len(words) == 1 else None


class _Task(msgspec.Struct):
    name: Name
    id: str | None = None
    category: str | None = None
    command: _Command | None = None
    parents: list[str] = []
    children: list[str] = []


class _Run(msgspec.Struct):
    """What is known of a task's execution; since version 1.5 that has its command."""

    id: str
    command: _Command | None = None


class _Specification(msgspec.Struct):
    tasks: list[_Task]


class _Execution(msgspec.Struct, rename="camel"):
    tasks: list[_Run] = []
    executed_at: Any = None
    makespan_in_seconds: float | None = None


class _Trace(msgspec.Struct, rename="camel"):
    specification: _Specification | None = None
    execution: _Execution | None = None
    tasks: list[_Task] = []
    jobs: list[_Task] = []
    executed_at: Any = None  # before version 1.5
    makespan_in_seconds: float | None = None
    makespan: float | None = None  # before version 1.4


class _Author(msgspec.Struct):
    name: str | None = None


class _Instance(msgspec.Struct, rename="camel"):
    workflow: _Trace
    created_at: Any = None
    author: _Author | None = None

    def times(self, place: str, faults: list[Fault]) -> tuple[float | None, float | None]:
        """Return when it started and ended, as far as it says so; a fault for what is no date."""
        trace, run = self.workflow, self.workflow.execution or _Execution()
        at = f"{place}.workflow.{'execution.' if run.executed_at else ''}executedAt"
        start = moment(_iso(run.executed_at or trace.executed_at), at, faults)
        if start is None:
            return moment(self.created_at, f"{place}.createdAt", faults), None
        spans = (run.makespan_in_seconds, trace.makespan_in_seconds, trace.makespan)
        span = next((span for span in spans if span is not None and span >= 0), None)
        if span is None:
            return start, None
        return start, moment(start + span, f"{place}.workflow, with its makespan", faults)


_INSTANCE = msgspec.json.Decoder(_Instance)


def _kind(name: str) -> str:
    """Return a task's name without the number of its instance and the workflows around it."""
    kind = INSTANCE.sub("", name)
    return re.split("[.:]", kind)[-1].strip() or kind if NEXTFLOW.match(kind) else kind


class WfCommons(JsonWorkflows):
    """Workflow instances of WfCommons."""

    holds = "a workflow instance of WfCommons"
    service_name = staticmethod(_kind)

    def composition(self, text: bytes, place: str) -> Composition | Invalid:
        """Return an instance's composition, or what is wrong with it."""
        instance = _INSTANCE.decode(text)
        workflow, author = instance.workflow, instance.author or _Author()
        tasks, at = workflow.tasks or workflow.jobs, "tasks" if workflow.tasks else "jobs"
        if workflow.specification:
            tasks, at = workflow.specification.tasks, "specification.tasks"
        at = f"{place}.workflow.{at}"
        ids = [task.id or task.name for task in tasks]
        n_named = Counter(task.name for task in tasks)
        # before version 1.5 tasks are called by their names, which then differ
        position = {task.name: k for k, task in enumerate(tasks) if n_named[task.name] == 1}
        position |= {name: k for k, name in enumerate(ids)}
        links, faults = _task_links(tasks, position, at)
        start_time, end_time = instance.times(place, faults)
        if faults := repeated_ids(ids, at) + faults:
            return Invalid(tuple(faults))
        names = tuple(PREFIX_SERVICE + name for name in _services(tasks, workflow.execution))
        return Composition(
            names,
            (True,) * len(names),
            tuple(links),
            author.name or None,
            start_time,
            end_time,
            place,
            ids,
        )


def _iso(given: object) -> object:
    """Return a date, that of Pegasus (``12-20-20T02:11:51Z``: month, day, year) in ISO 8601."""
    return PEGASUS.sub(r"20\3-\1-\2T", given) if isinstance(given, str) else given


def _task_links(
    tasks: Sequence[_Task], position: Mapping[str, int], at: str
) -> tuple[list[tuple[int, int]], list[Fault]]:
    """Return the links, whether parents or children say so, and what leads nowhere."""
    links: list[tuple[int, int]] = []
    faults: list[Fault] = []
    for k, task in enumerate(tasks):
        for key, others in (("parents", task.parents), ("children", task.children)):
            for n, name in enumerate(others):
                other = position.get(name)
                if other is None:
                    problem = f"unknown task {name!r}; name the id of a task"
                    faults.append(Fault(f"{at}[{k}].{key}[{n}]", problem))
                else:
                    links.append((other, k) if key == "parents" else (k, other))
    return links, faults


def _services(tasks: Sequence[_Task], execution: _Execution | None) -> Sequence[str]:
    """Return what names each task; see the module."""
    commands = {run.id: run.command for run in execution.tasks} if execution else {}
    found = [task.command or commands.get(task.id or task.name) for task in tasks]
    for names in (
        [task.category and task.category.strip() for task in tasks],
        [command and command.word() for command in found],
    ):
        if all(names):
            return [name for name in names if name]
    return [_kind(task.name) for task in tasks]
