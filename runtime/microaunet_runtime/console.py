"""What all commands share: options with the same meaning everywhere, errors, progress, exit codes."""

from __future__ import annotations

import functools
import inspect
import io
import os
import re
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, get_type_hints

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from .errors import InputError, MicroAUNetError, reason

BANNER = "microaunet - research software, not a medical device, not for clinical use"

MOST_THREADS = 256
# Characters that make a terminal act, and those that turn the direction of text: a file's name may hold them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with control characters escaped, such as ``\\x1b``."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class _Console(Console):
    """Prints text as text: no name in it can move the cursor or set colours."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


class _Description(TextColumn):
    """The description of a task, in which nothing is markup."""

    def render(self, task: Task) -> Text:
        return Text(printable(task.description))


out = _Console(highlight=False, soft_wrap=True)
# Decided once: while an image is decoded, standard error is no terminal (images.complaints).
err = _Console(
    stderr=True, highlight=False, soft_wrap=True, force_terminal=(sys.stderr and sys.stderr.isatty()) or None
)

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the results to this file as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", min=1, max=MOST_THREADS, help="CPU threads for inference.")
]
BundleOption = Annotated[Path, typer.Option("--bundle", help="Folder written by microaunet-export.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="HOST:PORT", help="Of Triton's gRPC service, with --backend triton."),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Also run operators that are not known to be safe, if you trust the bundle's maker."
    ),
]


def _tell_version(wanted: bool) -> None:
    if wanted:
        out.print(f"microaunet {metadata.version('microaunet')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit."),
]

Function = TypeVar("Function", bound=Callable[..., Any])


def reports_errors(function: Function) -> Function:
    """Decorate a command: known errors become one line on stderr and their exit code.

    Ctrl-C exits with 130. With ``--debug`` every error keeps its traceback.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr has it: a file name need not be UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt:
            err.print("interrupted: no incomplete file was left behind", markup=False)
            raise typer.Exit(130) from None
        except MicroAUNetError as error:
            if kwargs.get("debug"):
                raise
            err.print(f"error: {error}", markup=False)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:  # what no function expected: still the input's fault, and still one sentence
            if kwargs.get("debug"):
                raise
            err.print(f"error: {_sentence(error)}", markup=False)
            raise typer.Exit(InputError.exit_code) from None

    return wrapper  # type: ignore[return-value]


def _sentence(error: OSError) -> str:
    names = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
    ]
    what = " and ".join(names) or "a file or a device"
    return f"{what} cannot be used: {reason(error)}; check that it exists, is intact and that you may use it"


def command_app(function: Callable[..., Any]) -> typer.Typer:
    """A Typer application of the single command ``function``, with errors reported and ``--version``."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command()(_with_version(reports_errors(function)))
    return app


def _with_version(function: Function) -> Function:
    """Add ``--version`` to a command's options."""

    @functools.wraps(function)
    def wrapper(*args: Any, version: bool = False, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    own = inspect.signature(function, eval_str=True)
    added = inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=VersionOption
    )
    wrapper.__signature__ = own.replace(parameters=[*own.parameters.values(), added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {**get_type_hints(function, include_extras=True), "version": VersionOption}
    return wrapper  # type: ignore[return-value]


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command and end the program, even if a driver or a graph still blocks one of its threads.

    Python would end that thread inside foreign code, which aborts the process after all output is written.
    """
    try:
        app()
        code: int | str | None = 0
    except SystemExit as end:
        code = end.code
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)
    raise SystemExit(code)


def progress(transient: bool = True) -> Progress:
    """A progress bar with count, elapsed time and time to go; silent when stderr is no terminal."""
    return Progress(
        _Description(""),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=err,
        transient=transient,
        disable=not sys.stderr.isatty(),
    )
