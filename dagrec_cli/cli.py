"""``dagrec COMMAND [overrides]``: names the command and hands the rest to Hydra.

Nothing heavy is imported here, so ``dagrec --help`` answers at once.
Exit codes: 0 done, 1 something failed inside, 2 the user can fix it (one line on stderr),
130 interrupted.
"""

import atexit
import gc
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal

COMMANDS = {
    "train": "train a model, evaluate it, write a run folder",
    "evaluate": "evaluate a saved model, also on other data or another split",
    "score": "put the predictions of any other tool beside our own runs",
    "predict": "recommend the next service after a context, with a saved model",
    "serve": "recommend over HTTP, with a saved model",
    "export": "write a saved model as ONNX",
    "bench": "measure plain against fast, both checked equal",
    "reproduce": "run the rows of a table, and say what comes back of the paper",
    "compare": "put any run folders into one table, with tests between them",
    "data describe": "count what a data set holds, and what its split leaks",
    "data validate": "check a file of compositions and name every fault",
    "data prepare": "prepare a data set ahead, file by file, and keep it",
    "data fetch": "download a public data set and check its hash",
    "data convert": "write any data as compositions in JSON Lines",
    "data export": "write a split for other tools: GRU4Rec, RecBole, CSV",
    "new": "begin a model, loss, sampler, reader or table of your own",
    "check": "ask your own models, losses and readers what dagrec's promise",
    "guide": "read the manual, topic by topic",
}

HELP = """dagrec: a bench for next-service recommendation on DAG compositions

Usage: dagrec COMMAND [group=option …] [setting=value …]

Commands
{commands}

dagrec COMMAND --help              options, settings and examples of a command
dagrec help model                  the options of a group: model, loss, data, …
dagrec help model=gru4rec          the settings of an option
eval "$(dagrec -sc install=bash)"  completion for bash
dagrec --version

Start with: dagrec train, dagrec guide start"""


def main() -> None:
    """Run the command that the command line names."""
    try:
        arguments = sys.argv[1:]
        if arguments[:1] == ["help"]:
            arguments = [*arguments[1:], "--help"]
        is_completion = "-sc" in arguments or "--shell-completion" in arguments
        command = None if is_completion else _command_in(arguments)
        from dagrec_cli.app.guard import explained

        with explained(command or ""):
            if is_completion:
                _complete()
            elif command is None or "--version" in arguments:
                _answer(arguments)
            else:
                sys.argv = [sys.argv[0], *arguments[len(command.split()) :]]
                _verb(command)()
    except KeyboardInterrupt:  # before a command, which has more to say, minds it
        sys.stderr.write("dagrec: interrupted.\n")
        sys.exit(130)
    finally:
        is_program = getattr(sys.modules["__main__"], "main", None) is main
        if is_program and getsignal(SIGINT) is default_int_handler:
            signal(SIGINT, SIG_DFL)  # no traceback while Python takes itself down


def _verb(command: str) -> Callable[[], object]:
    """Return what runs a command: the ``main`` of its module, or Hydra with its task."""
    atexit.register(gc.freeze)  # or Python looks for garbage in all of torch before it ends: 0.3 s
    name, _, inside = command.partition(" ")
    module = import_module(f"dagrec_cli.commands.{name}")
    if hasattr(module, "main"):
        run: Callable[[], object] = module.main
        return run
    from dagrec_cli.app.hydra_main import run_with_hydra

    return partial(run_with_hydra, command, getattr(module, inside or name))


def _answer(arguments: list[str]) -> None:
    """Say what needs no command: help, the version, or that there is no such command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        _say(_help())
    elif "--version" in arguments or arguments[0] == "-V":
        from dagrec_cli import __version__

        _say(f"dagrec {__version__}")
    elif arguments[-1] == "--help":
        from dagrec_cli.app.help import print_group_help

        if (inside := _inside(arguments[0])) and len(arguments) == 2:
            _say(f"{_help(inside)}\n")
        print_group_help(arguments[:-1], COMMANDS)
    else:
        sys.exit(_say_unknown(arguments))


def _command_in(arguments: list[str]) -> str | None:
    """Return the command that the arguments begin with, or None."""
    return next((c for c in (" ".join(arguments[:n]) for n in (2, 1)) if c in COMMANDS), None)


def _inside(word: str) -> list[str]:
    """Return the commands of two words that begin with a word."""
    return [command for command in COMMANDS if command.startswith(f"{word} ")]


def _say_unknown(arguments: list[str]) -> int:
    """Say what there is instead, and return the exit code."""
    from dagrec_cli.errors import did_you_mean

    first = arguments[0]
    inside = _inside(first)
    if inside:
        if arguments[1:2] in ([], ["-h"]):
            _say(_help(inside))
            return 0
        first = " ".join(arguments[:2])
    known = inside or list(COMMANDS)
    hint = did_you_mean(first.split()[-1], known) or did_you_mean(first, known)
    sys.stderr.write(f"dagrec: unknown command {first!r}; {hint}commands: {', '.join(known)}.\n")
    return 2


def _complete() -> None:
    """Answer the shell: command names first, then Hydra's completion of that command."""
    words = os.environ.get("COMP_LINE", "").split(" ")[1:]
    if words[:1] == ["help"] and len(words) == 2:
        _say(" ".join(_helpful(words[1])))
        return
    typed = [word for word in words if word]
    command = _command_in(typed)
    if "COMP_LINE" in os.environ and (command is None or len(words) <= len(command.split())):
        fitting = [name for name in COMMANDS if name.startswith(" ".join(typed))]
        place = len(typed) - any(words[-1:])  # of the word that is typed now
        _say(" ".join(sorted({[*name.split(), ""][place] for name in fitting})))
        return
    if command == "guide":
        from dagrec_cli.commands.guide import topics

        _say(" ".join(topic for topic in topics() if topic.startswith(words[-1])))
        return
    if command:
        program, rest = os.environ["COMP_LINE"].split(maxsplit=1)
        for word in command.split():
            rest = rest.lstrip().removeprefix(word)
        os.environ["COMP_LINE"] = f"{program}{rest}"
    _verb(command or "train")()


def _helpful(typed: str) -> list[str]:
    """Return what help there is that begins so: commands, groups, options of a group."""
    from dagrec_cli.config.comments import group_words, option_names

    group, is_option, _ = typed.partition("=")
    options = [f"{group}={option}" for option in option_names(group)] if is_option else []
    known = options or sorted({*group_words(), *(command.split()[0] for command in COMMANDS)})
    return [word for word in known if word.startswith(typed)]


def _help(commands: list[str] | None = None) -> str:
    lines = [f"  {name:<15} {COMMANDS[name]}" for name in commands or COMMANDS]
    return HELP.format(commands="\n".join(lines))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
