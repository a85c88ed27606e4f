"""The command line: `python -m stc_core`, or `stc`.

Exit codes: 0 done; 2 something the user can mend, said without a traceback;
1 a bug of ours, with its traceback; 130 interrupted.
"""

import gc
import sys
from collections.abc import Sequence
from contextlib import suppress

import typer

from stc_core.cli.common import program
from stc_core.cli.data import cache, check, variability
from stc_core.cli.inference import explain, generate, label, predict, report
from stc_core.cli.runs import cancel, delete, rename, runs
from stc_core.cli.serve import serve
from stc_core.cli.train import resume, shrink, train, work
from stc_core.errors import StcError
from stc_core.streams import escape_unencodable, flush_all

app = typer.Typer(
    help="Find the neurons that know your labels; get a small classifier from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Look at a table before training.", no_args_is_help=True)
app.add_typer(data_app, name="data")
data_app.command()(check)
for _command in (
    train,
    shrink,
    resume,
    predict,
    explain,
    generate,
    serve,
    report,
    variability,
    runs,
    rename,
    cancel,
    delete,
    cache,
):
    app.command()(_command)
for _command in (work, label):
    app.command(hidden=True)(_command)

GC_EVERY = 100_000
"""New objects between two collections: imports make many of them and drop none."""
BUG = "This is a bug of STC Studio, please report it with the lines above."


def main() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GC_EVERY)
    escape_unencodable()
    try:
        check_arguments(sys.argv[1:])
        app(prog_name=program())
    except StcError as error:
        with suppress(BrokenPipeError):
            typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        error.add_note(BUG)
        raise
    finally:
        flush_all()


def check_arguments(given: Sequence[str]) -> None:
    """Raise StcError for what was typed in another encoding than the system's."""
    for one in given:
        try:
            one.encode()
        except UnicodeEncodeError as error:
            raise StcError(
                f"argument {one!r}",
                expected=f"characters of {sys.getfilesystemencoding()}",
                got="other bytes",
                remedy="Set PYTHONUTF8=1 if they are UTF-8; else type the text in a "
                "terminal of UTF-8, or rename the file.",
            ) from error
