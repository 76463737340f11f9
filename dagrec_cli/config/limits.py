"""One-line checks of single settings, shared by every constructor."""

from collections.abc import Sequence

from dagrec_cli.errors import ConfigError


def check_count(name: str, value: object, least: int = 1) -> None:
    """Raise ConfigError unless ``value`` is a whole number of ``least`` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} is {value!r}; use a whole number of {least} or more.")


def check_share(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is a number in ``[0, 1)``."""
    if not _is_number(value) or not 0 <= value < 1:  # type: ignore[operator]
        raise ConfigError(f"{name} is {value!r}; use a number from 0 up to, not including, 1.")


def check_positive(name: str, value: object, *, or_zero: bool = False) -> None:
    """Raise ConfigError unless ``value`` is a finite number above 0 (or 0 where allowed)."""
    is_ok = _is_number(value) and (0 < value < float("inf") or (or_zero and value == 0))  # type: ignore[operator]
    if not is_ok:
        rule = "a number of 0 or more" if or_zero else "a number above 0"
        raise ConfigError(f"{name} is {value!r}; use {rule}.")


def check_flag(name: str, value: object) -> None:
    """Raise ConfigError unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; use true or false.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless ``value`` is one of the choices."""
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; use one of {', '.join(choices)}.")


def check_names(name: str, value: object) -> list[str]:
    """Return a text, or a list of texts, as a list; anything else raises ConfigError."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(each, str) for each in names):
        raise ConfigError(f"{name} is {value!r}; use text, or a list of it.")
    return list(names)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
