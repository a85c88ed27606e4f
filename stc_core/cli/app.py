"""The command line: `python -m stc_core`, or `stc`.

Exit codes: 0, done; 2, an error that the user can mend, printed without a traceback;
1, a bug of STC Studio, printed with its traceback; 130, interrupted.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from stc_core.cli.activations import activations
from stc_core.cli.common import program
from stc_core.cli.data import cache, check, sample, variability
from stc_core.cli.export import export, import_
from stc_core.cli.hub import pull, push
from stc_core.cli.inference import explain, generate, label, predict, report
from stc_core.cli.inside import ablate, faithfulness, patch
from stc_core.cli.installation import doctor, models_app
from stc_core.cli.runs import cancel, delete, rename, runs
from stc_core.cli.serve import serve
from stc_core.cli.sweeps.commands import rank, sweep
from stc_core.cli.train import resume, shrink, train, work
from stc_core.errors import StcError
from stc_core.streams import escape_unencodable, flush_all

app = typer.Typer(
    help="Find the neurons that predict your labels, and make a small classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> bool:
    """Typer passes what this gives to the command."""
    if is_asked:
        from stc_core.runs.environment import versions_of

        typer.echo(versions_of(("stc-studio",))["stc-studio"])
        raise typer.Exit
    return is_asked


@app.callback()
def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit; see also `stc doctor`.",
        ),
    ] = False,
) -> None:
    """What all commands have in common."""


data_app = typer.Typer(help="Look at a table before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")
data_app.command()(check)
data_app.command()(sample)
app.add_typer(models_app, name="models")
for _command in (
    train,
    sweep,
    rank,
    shrink,
    resume,
    predict,
    explain,
    ablate,
    patch,
    faithfulness,
    generate,
    serve,
    report,
    export,
    push,
    pull,
    activations,
    variability,
    runs,
    rename,
    cancel,
    delete,
    cache,
    doctor,
):
    app.command()(_command)
app.command("import")(import_)
for _command in (work, label):
    app.command(hidden=True)(_command)

GC_EVERY = 100_000
"""New objects between two garbage collections. Imports make many objects and drop
none, so that collections while importing would be useless."""
BUG = "This is a bug of STC Studio, please report it with the lines above."


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GC_EVERY)
    escape_unencodable()
    try:
        check_arguments(sys.argv[1:])
        app(prog_name=program())
    except StcError as error:
        _end_with(error)
    except Exception as error:
        from stc_core.files import machine_error

        if (of_the_machine := machine_error(error)) is not None:
            _end_with(of_the_machine)
        error.add_note(BUG)
        raise
    finally:
        flush_all()


def _end_with(error: StcError) -> NoReturn:
    """Print the error and exit with the code 2."""
    with suppress(OSError):
        typer.echo(f"Error: {error}", err=True)
    sys.exit(2)


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise StcError for an argument that is not in the encoding of the system."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise StcError(
                f"argument {argument!r}",
                expected=f"characters of {sys.getfilesystemencoding()}",
                got="other bytes",
                remedy="Set PYTHONUTF8=1 if the argument is UTF-8. Otherwise type the "
                "text in a UTF-8 terminal, or rename the file.",
            ) from error
