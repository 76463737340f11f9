"""The errors a user can cause, each one line: what was found, where, what is allowed, what to do.

Anything else that is raised is a defect of the program and shows its traceback.
"""


class DagrecError(Exception):
    """A mistake that the user can mend; printed as one line, exit code 2."""


class ConfigError(DagrecError):
    """A setting has a value that is not allowed, or two settings do not go together."""


class DataError(DagrecError):
    """The data cannot be read, or breaks a rule of compositions."""


class RunError(DagrecError):
    """A run folder cannot be written, read, or does not fit what is asked of it."""


class InUseError(RunError):
    """Another process works in the run folder; nothing in it may be touched."""


class TrainingError(Exception):
    """Training could not go on (a non-finite loss); exit code 1, the last good state is kept."""
