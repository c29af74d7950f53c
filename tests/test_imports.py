"""The directions of imports (contracts in pyproject.toml), sizes of files, costs of imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("glimpse_envs", "policies", "glimpse_lab")
LONGEST = 400  # lines


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def scripts() -> list[Path]:
    return sorted(ROOT.glob("*.py")) + python_files("benchmarks", "examples")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_import_contracts_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    result = subprocess.run(
        [*command, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_nothing_imports_a_script():
    names = {module_of(path).rpartition(".")[2] for path in scripts()} | {"benchmarks", "examples"}
    for path in python_files(*PACKAGES):
        assert not {name.partition(".")[0] for name in imported(path)} & names, path


@pytest.mark.parametrize("path", scripts() + python_files(*PACKAGES), ids=module_of)
def test_no_file_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_with_modules_is_a_package(package):
    """The wheel holds what ``find:`` finds: a folder without ``__init__.py`` would vanish."""
    folders = {path.parent for path in python_files(package)}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_importing_the_environments_imports_no_deep_learning():
    heavy = ("torch", "torchvision", "stable_baselines3", "sklearn", "scipy.stats", "matplotlib")
    code = f"import glimpse_envs, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
