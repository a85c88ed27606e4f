"""The report on a table, on the console."""

import shlex
from itertools import islice

from rich import box
from rich.table import Table
from rich.text import Text

from stc_core.cli.console import output
from stc_core.data.findings import Report
from stc_core.data.repairs import say_mend, say_repair

SHOWN_CLASSES = 200
_SEVERITY = {"error": "bold red", "warning": "yellow", "info": "dim"}


def show_data_report(report: Report) -> None:
    """Print the columns, the classes, and each finding with options that mend it."""
    console = output()
    columns = report.columns
    console.print(f"{report.n_used:,} of {report.n_rows:,} rows can be used.")
    labels = ", ".join(map(repr, columns.labels)) or "none found"
    line = f"text {columns.text!r}; label {labels}"
    line += f"; split {columns.split!r}" if columns.split else ""
    line += f"; id {columns.id!r}" if columns.id else ""
    console.print(line, markup=False)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class", overflow="fold")
    splits = list(next(iter(report.classes.values()), {}))
    for split in splits:
        table.add_column(split, justify="right")
    for name, counts in islice(report.classes.items(), SHOWN_CLASSES):
        table.add_row(Text(name), *(f"{counts[split]:,}" for split in splits))
    if len(report.classes) > SHOWN_CLASSES:
        table.add_row(f"{len(report.classes) - SHOWN_CLASSES:,} more")
    if report.classes:
        console.print(table)
    for finding in report.findings:
        style = _SEVERITY[finding.severity]
        console.print(
            Text(f"{finding.severity}: ", style=style) + Text(finding.message)
        )
        for mend in finding.mends:
            typed = " ".join(f"--repair {shlex.quote(str(one))}" for one in mend)
            line = Text(f"  {say_mend(mend)}: {typed}", style="dim")
            console.print(line, soft_wrap=True)  # can be copied whole
    for applied in report.repairs:
        rows = f"{applied.count:,} row{'s' * (applied.count != 1)}"
        console.print(Text(f"repaired: {say_repair(applied.repair)}: {rows}"))
    if not report.findings:
        console.print("No problems found.")
