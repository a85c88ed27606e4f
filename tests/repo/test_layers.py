"""The packages of stc_core: no circle of imports, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "stc_core").rglob("*.py"))
    if path.stem not in ("__init__", "__main__")
}


def imported(path: Path) -> set[str]:
    """Every module that the file names in an import, late and type-only ones too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return names


def test_there_is_no_circle_of_imports():
    needs = {name: imported(path) & MODULES.keys() for name, path in MODULES.items()}
    while free := {name for name, others in needs.items() if not others & needs.keys()}:
        needs = {name: others for name, others in needs.items() if name not in free}
    assert not needs


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
        "from stc_core.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers', 'pandas', 'sklearn'} & set(sys.modules)"
    )
    assert "--label" in run_python(code)


def test_labelling_loads_nothing_that_only_fitting_needs():
    code = (
        "import sys, stc_core.classifiers.base, stc_core.cli.console\n"
        "import stc_core.classifiers.predict_table\n"
        "print({'sklearn', 'plotly', 'streamlit', 'matplotlib', 'stc_core.probes.fit',"
        " 'stc_core.figures.style'} & set(sys.modules))"
    )
    assert run_python(code).strip() == "set()"
