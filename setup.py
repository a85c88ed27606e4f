"""The packages of the wheel; all else about it is in pyproject.toml.

The samples lie beside the package in a checkout and inside it in a wheel, which
pyproject.toml cannot say.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["stc_core*"]), "stc_core.samples"],
    package_dir={"stc_core.samples": "samples"},
    package_data={"stc_core": ["py.typed"], "stc_core.samples": ["*.csv", "*.md"]},
)
