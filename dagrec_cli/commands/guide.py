"""``dagrec guide [TOPIC]``: the manual, which is Markdown in ``dagrec_cli/guide``.

A terminal gets it drawn, and paged if it is longer; a pipe gets the Markdown.
"""

import os
import re
import sys
from pathlib import Path

from dagrec_cli.errors import ConfigError, did_you_mean

PAGES = Path(__file__).parents[1] / "guide"
READABLE = 120  # columns; longer lines are hard to read
LINK = re.compile(r"\[[^\]]+\]\(([\w-]+)\.md\)")  # to another topic


def topics() -> dict[str, str]:
    """Return the text of each topic by its name, in the order of the alphabet."""
    return {page.stem: page.read_text(encoding="utf-8") for page in sorted(PAGES.glob("*.md"))}


def main() -> None:
    """Show a topic, or list them all.

    Raises
    ------
    ConfigError
        If there is no such topic, or more than one is named.
    """
    pages = topics()
    match [word for word in sys.argv[1:] if word not in ("-h", "--help")]:
        case []:
            lines = "".join(f"  {name:<12} {line_of(text)}\n" for name, text in pages.items())
            sys.stdout.write(
                f"Usage: dagrec guide TOPIC\n\n{lines}\nBegin with: dagrec guide start\n"
            )
        case [topic] if topic in pages:
            _show_topic(LINK.sub(r"`dagrec guide \1`", pages[topic]))
        case words:
            raise _no_topic(" ".join(words), pages)


def line_of(text: str) -> str:
    """Return what a topic is about, which stands below its title."""
    return text.splitlines()[2]


def _show_topic(text: str) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write(text)
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    os.environ.setdefault("LESS", "-FRX")  # stay out of the way of what fits, and keep colours
    console = Console(theme=Theme({"markdown.code": "cyan"}))  # on whatever lies behind it
    with console.pager(styles=True):
        console.print(Markdown(text, code_theme="ansi_dark"), width=min(console.width, READABLE))


def _no_topic(word: str, pages: dict[str, str]) -> ConfigError:
    """Return an error with the nearest topic, else with those that say most of the word."""
    begun = next((f"did you mean {name}? " for name in pages if name.startswith(word)), "")
    use = re.compile(rf"^(#.*)?.*\b{re.escape(word)}", re.M | re.I)  # a title counts ten times
    uses = {name: sum(10 if use[1] else 1 for use in use.finditer(pages[name])) for name in pages}
    most = [name for name in sorted(uses, key=uses.__getitem__, reverse=True) if uses[name]][:3]
    hint = begun or did_you_mean(word, pages) or f"see {', '.join(most)}; " * bool(most)
    return ConfigError(f"no topic {word!r}; {hint}topics: {', '.join(pages)}.")
