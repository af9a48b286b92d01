"""The command line of every job: arguments in, exit code out. A job is ``curate`` held to some stages."""

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import PipelineError, UsageError
from pipeline.extract.options import KINDS
from pipeline.progress import console
from pipeline.recipe import Recipe, load_recipe

RecipeOption = Annotated[str, typer.Option(help="A bundled recipe's name, or a YAML file.")]
InputOption = Annotated[
    list[str] | None,
    typer.Option(help="The pool: file, folder or glob pattern (again for more). A later stage: the output before it."),
]
OutputOption = Annotated[str | None, typer.Option(help="Where the tables go; output/<recipe name> by default.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Override: dotted.key=value (again for more).")]
ForceOption = Annotated[bool, typer.Option("--force", help="Redo what is there already.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail on a damaged input file instead of going on.")]


def stage_app(stages: list[str] | None, about: str) -> typer.Typer:
    """The command of one stage, or of all of a recipe (None)."""
    app = new_app()

    @app.command(help=about)
    def main(
        recipe: RecipeOption = "demo",
        input: InputOption = None,
        output: OutputOption = None,
        set: SetOption = None,
        force: ForceOption = False,
        strict: StrictOption = False,
    ) -> None:
        found, target, source = resolve(recipe, input, output, set, stages)
        begin(target, force)
        from pipeline.curate import curate

        curate(found, target, stages, source, force, strict)

    return app


def begin(output: str, force: bool) -> None:
    """Starts the JVM where there is surely something to do, so that it starts while the rest is imported."""
    from pipeline import storage

    if force or not storage.exists(storage.join(storage.absolute(output), "manifest.json")):
        from pipeline.session import start_session

        start_session()


def new_app() -> typer.Typer:
    """A command without Typer's boxes and tracebacks."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def resolve(
    recipe: str, inputs: list[str] | None, output: str | None, overrides: list[str] | None, stages: list[str] | None
) -> tuple[Recipe, str, str | None]:
    """The recipe, the output folder, and the folder of the tables before (None: the output folder itself).

    ``inputs`` are the pool for all stages (None) and for the first of the recipe, else that folder.
    """
    found = load_recipe(recipe, overrides)
    target = output or f"output/{found.name}"
    if stages is None or stages[0] == "extract" or (stages[0] == "ingest" and found.input.format not in KINDS):
        return load_recipe(recipe, overrides, inputs), target, None
    if inputs and len(inputs) > 1:
        raise UsageError(f"--input: one folder with the tables of the stage before is allowed, found {len(inputs)}")
    return found, target, inputs[0] if inputs else None


def run(app: typer.Typer) -> None:
    """Runs a command and exits: 0 done, 2 wrong usage or configuration, 1 failed; an error is one line."""
    try:
        code = app(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        fail("stopped", 1)
    except typer.TyperException as error:
        fail(f"{error.format_message().rstrip('.')}; see --help", 2)
    except PipelineError as error:
        fail(str(error), error.exit_code)
    except Exception as error:
        details = Path(tempfile.gettempdir()) / f"metaclip-failure-{os.getpid()}.txt"
        details.write_text(traceback.format_exc(), encoding="utf-8")
        fail(f"{cause(error)} (details: {details})", 1)
    sys.exit(code if isinstance(code, int) else 0)


def cause(error: BaseException) -> str:
    """The first line that says what went wrong; of a Spark failure that of the innermost Python error or Java cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    python = [
        line
        for line in lines
        if line.split(":")[0].endswith(("Error", "Exception"))
        and not line.startswith(("at ", "Caused", "org.", "py4j"))
    ]
    caused = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    said = (python or caused or lines or [""])[-1 if python or caused else 0]
    return f"{type(error).__name__}: {said}"[:500]


def fail(message: str, code: int) -> None:
    """Says what is wrong on one line and exits."""
    message = message.replace("\n", "\\n")  # of a name
    console.print(f"error: {message}", markup=False, soft_wrap=True)
    sys.exit(code)
