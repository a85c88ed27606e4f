"""The packages keep their order, no file imports in a circle, and some stay light."""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[2]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("stc_core", "ui")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stem not in ("__init__", "__main__")
}
FOLDERS = ("stc_core", "ui", "pages", "tests", "benches")
MOST_FILES = 17
COMMANDS = "stc_core.cli."
SHARED = {"show_page", "CODE"}
"""Names that each page, and each recipe, has in common with the others."""
"""What each page calls the function that draws it."""


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


def public_names(path: Path) -> set[str]:
    """The functions, classes and constants that a file defines for others."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def test_packages_import_only_from_below(monkeypatch, capsys):
    """The contracts are in pyproject.toml; a broken one is shown with its imports."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    status = lint_imports(no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_there_is_no_circle_of_imports():
    needs = {name: imported(path) & MODULES.keys() for name, path in MODULES.items()}
    while free := {name for name, others in needs.items() if not others & needs.keys()}:
        needs = {name: others for name, others in needs.items() if name not in free}
    assert not needs


def test_no_public_name_has_two_meanings():
    """A command is called as what it does, so the names of commands do not count."""
    homes = defaultdict(list)
    for module, path in MODULES.items():
        if not module.startswith(COMMANDS):
            for name in public_names(path) - SHARED:
                homes[name].append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_names_of_commands_mean_the_same_elsewhere():
    """What the command line shares with the core is the name of a command alone."""
    core = set[str]()
    for module, path in MODULES.items():
        if not module.startswith(COMMANDS):
            core |= public_names(path)
    line = {m: p for m, p in MODULES.items() if m.startswith(COMMANDS)}
    shared = set[str]().union(*map(public_names, line.values())) & core
    assert shared == {"cancel", "delete", "rename", "resume", "shrink", "train", "work"}


def test_a_folder_is_seen_at_a_glance():
    paths = (path for top in FOLDERS for path in (ROOT / top).rglob("*.py"))
    counts = Counter(path.parent for path in paths)
    assert {str(f): n for f, n in counts.items() if n > MOST_FILES} == {}
    assert sorted(counts.values())[len(counts) // 2] <= 12


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


def test_a_page_imports_the_app_before_its_parts():
    """Two first visitors at once would else each wait for what the other imports."""
    for page in (ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))):
        names = [
            node.module
            for node in ast.parse(page.read_text("utf-8")).body
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("ui")
        ]
        assert names[0] == "ui", page.name
