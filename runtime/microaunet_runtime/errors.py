"""The errors that a user can act on. Each carries one sentence that names the input and the remedy."""


class MicroAUNetError(Exception):
    """Base of all errors that a command reports without a traceback."""

    exit_code = 1


class InputError(MicroAUNetError):
    """The given input cannot be used: it is missing, corrupt, mismatched or of another version."""

    exit_code = 2


class MissingDependencyError(InputError):
    """A required optional package or system library is missing."""


class ServerGoneError(InputError):
    """A server cannot be reached, or does not serve the model now; trying again later may help."""


class GateError(MicroAUNetError):
    """Everything ran, but a stated tolerance is exceeded."""

    exit_code = 3


def reason(error: Exception) -> str:
    """The operating system's reason for an error, as the end of a sentence."""
    text = error.strerror if isinstance(error, OSError) else None
    return (text or str(error) or type(error).__name__).lower()
