"""``metaclip-pipeline``: finds a command in the table, imports its module alone, and runs it."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import pipeline
from pipeline.command.table import COMMANDS
from pipeline.job import App, Group, examples, run

NAME = "metaclip-pipeline"


class Commands(Group):
    """The commands of the table. To list them no module is imported."""

    def list_commands(self, ctx):
        """Their names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        """What ``--help`` and completion show of a command; None where there is none of the name."""
        found = COMMANDS.get(cmd_name)
        return found and TyperCommand(name=cmd_name, help=found.line, rich_help_panel=found.panel)

    def resolve_command(self, ctx, args):
        """The command itself, and its arguments."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(name), rest


def load(name: str, *below: str) -> TyperCommand | TyperGroup:
    """A command of the table, or one of a group in it."""
    module, app, *part_of = COMMANDS[name].declared.split(":")
    found = get_command(getattr(import_module(module), app))
    for part in (*part_of, *below):
        found = found.commands[part]
    return found


def run_job(name: str, *below: str) -> None:
    """Runs one command with the arguments of this process: what a file in ``jobs/`` does."""
    run(load(name, *below))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"{NAME} {pipeline.__version__}")
        raise typer.Exit


def _job_file(asked: bool) -> None:
    if asked:
        typer.echo(Path(__file__).with_name("__main__.py"))
        raise typer.Exit


app = App(
    cls=Commands,
    add_completion=True,
    invoke_without_command=True,
    epilog=examples(
        "metaclip-pipeline curate",
        "metaclip-pipeline curate --recipe metaclip-400m --input pool/ --output out",
        "metaclip-pipeline what-if --recipe metaclip-400m --output out",
        "metaclip-pipeline train --recipe nano --shards out/shards",
    ),
)


@app.callback()
def about(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    job_file: Annotated[
        bool,
        typer.Option("--job-file", callback=_job_file, is_eager=True, help="Print the file that spark-submit takes."),
    ] = False,
) -> None:
    """From a raw pool of web image-text pairs to a balanced CLIP training set, the MetaCLIP way."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """The entry point of ``metaclip-pipeline``."""
    run(app, NAME)
