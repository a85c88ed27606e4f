"""The house stands on its floors: who may import whom, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stc_core"

# A file imports from lower floors; on its own floor only from what is not above it,
# so that there is never a circle. `__init__` is the door and reaches every floor.
FLOORS = {
    0: "errors frozen streams axes config files worker desk heap",
    1: "cells charsets dialect pipes pooling penalties losses metrics sniff split "
    "tokens batches status launch about columns wording context clicks neurons report "
    "markup story explanation "
    "exemplars examples figures figures_data figures_layers figures_trade "
    "figures_neurons readings figures_frontier figures_examples records "
    "figures_adapt figures_attention scatter texts segments fluency branches "
    "figures_hierarchy trie slices compare agreement cards figures_compare "
    "html_page figures_activity relatives edits flips confusion calibration strata "
    "figures_errors seriation steps margins trace rotary apart "
    "alignment config_fields",
    2: "delimited label_names mending parquet quadratic solver select attribution "
    "table checks data store sites hooks hub truncation uploads head checkpoint "
    "packing problem content fista adapters reopen changes rows sums dual task tree "
    "guides attention ablation nearest linears trial shelf stacks "
    "loader_files loading_errors vocabulary "
    "down_projections reading_notes",
    3: "backbone forward plan arithmetic extract probe sparsify classifier saved spin "
    "tables labeller gradients variability readout tuning training stream sample "
    "candidates ladder cascade language focus reader stages spelling scribe lexicon "
    "script decoding author ridge search frontier salience sweep control by_class "
    "firing facets",
    4: "html_report html_parts recipes results dial reasons shrink adapt baselines "
    "forecast run jobs predictions replies generation queue trash ledger orders rungs "
    "course lesson alike curriculum rivals narration hierarchy attentive writer "
    "mislabelled answers tuning_time",
    5: "terminal options commands commands_train commands_run commands_ledger "
    "commands_data commands_serve serve gate cli __main__",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}
ABOVE = {"streamlit": 6, "fastapi": 5, "uvicorn": 5, "typer": 5, "ray": 4}
FILES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imported(name: str) -> set[str]:
    """Every module that the file names in an import, late and type-only ones too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute"
            module = node.module or ""
            found |= {f"{module}.{a.name}" for a in node.names} | {module}
    return found


def neighbours(name: str) -> set[str]:
    parts = (module.split(".") for module in imported(name))
    return {p[1] for p in parts if p[0] == "stc_core" and len(p) > 1} & set(FILES)


def test_every_file_has_a_floor():
    assert [name for name in FILES if name not in FLOOR] == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_nothing_from_above(name: str):
    mine = FLOOR.get(name, 0)
    above = {other for other in neighbours(name) if FLOOR.get(other, 0) > mine}
    assert not above


def test_there_is_no_circle():
    left = {name: neighbours(name) for name in FILES}
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert not left


@pytest.mark.parametrize("name", FILES)
def test_servers_and_pages_stay_upstairs(name: str):
    tops = {module.partition(".")[0] for module in imported(name)}
    assert not {top for top in tops if ABOVE.get(top, 0) > FLOOR.get(name, 0)}


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_is_light():
    code = (
        "import sys, stc_core;"
        "print({'torch', 'transformers', 'pandas', 'numpy'} & set(sys.modules))"
    )
    assert run_python(code).strip() == "set()"


def test_help_is_light():
    code = (
        "import sys; sys.argv = ['stc', 'train', '--help']\n"
        "from stc_core.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    assert "--label" in run_python(code)


def test_labelling_loads_nothing_that_only_fitting_needs():
    code = (
        "import sys, stc_core.labeller, stc_core.predictions, stc_core.terminal\n"
        "print({'sklearn', 'plotly', 'streamlit', 'matplotlib', 'stc_core.probe',"
        " 'stc_core.figures'} & set(sys.modules))"
    )
    assert run_python(code).strip() == "set()"
