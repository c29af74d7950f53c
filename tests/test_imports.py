"""The directions of imports, and the sizes of files."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("glimpse_envs", "policies")
LONGEST = 400  # lines

#: what each module may import of the two packages; a new module gets a line here
ENVS = {
    "actions": {"compiled", "components", "gaze", "masks"},
    "augmentation": {"compiled", "components", "randomness"},
    "boxview": set(),
    "classifier": {"components"},
    "compiled": set(),
    "components": set(),
    "config": {
        *("actions", "augmentation", "classifier", "components", "datasets", "gaze", "loaders"),
        *("rewards", "scenes", "sensors"),
    },
    "core": {"compiled", "config", "randomness", "rewards"},
    "datasets": {"components"},
    "downloads": {"datasets", "files"},
    "drawing": set(),
    "envs": {"config", "core", "rendering"},
    "evaluation": {"files"},
    "files": set(),
    "folders": {"datasets"},
    "gaze": {"compiled"},
    "gaze_statistics": {"information", "scanpaths"},
    "information": set(),
    "loaders": {"components", "datasets", "downloads", "folders"},
    "masks": {"gaze"},
    "prefetch": set(),
    "randomness": {"compiled"},
    "registration": set(),
    "rendering": {"drawing", "videos"},
    "rewards": {"components"},
    "sb3": {"boxview", "components", "config", "core", "envs"},
    "scanpaths": {"evaluation"},
    "scenes": {"compiled", "components", "randomness"},
    "sensors": {"compiled", "components", "gaze", "prefetch"},
    "statistics": {"evaluation", "scanpaths"},
    "strategies": {"actions", "classifier", "components", "config"},
    "strips": {"drawing"},
    "videos": {"files"},
}
POLICIES = {
    "attention": set(),
    "backbones": set(),
    "buffers": set(),
    "callbacks": {"buffers", "distributions", "recurrent"},
    "canvas": {"glimpse_envs.compiled", "glimpse_envs.gaze"},
    "classifier": {
        *("canvas", "memories", "glimpse_envs.classifier", "glimpse_envs.config"),
        "glimpse_envs.files",
    },
    "commands": set(),
    "cotraining": {
        *("classifier", "fitting", "sequences", "warm_ups", "glimpse_envs.components"),
        *("glimpse_envs.core", "glimpse_envs.strategies"),
    },
    "decision": {"layers", "glimpse_envs.boxview"},
    "determined": {"hybrid"},
    "distributions": {"decision", "hybrid", "layers", "glimpse_envs.boxview"},
    "evaluation": set(),
    "evaluation.attacks": {
        *("classifier", "evaluation.differentiable", "evaluation.pictures", "evaluation.play"),
        *("glimpse_envs.config", "glimpse_envs.scanpaths", "glimpse_envs.strategies"),
    },
    "evaluation.baselines": {
        *("glimpse_envs.classifier", "glimpse_envs.config", "glimpse_envs.core"),
        "glimpse_envs.strategies",
    },
    "evaluation.beside": set(),
    "evaluation.compared_runs": {
        *("evaluation.comparison", "evaluation.play", "evaluation.plots", "evaluation.settings"),
        *("runs", "glimpse_envs.config"),
    },
    "evaluation.comparison": {
        *("evaluation.settings", "evaluation.significance", "glimpse_envs.evaluation"),
    },
    "evaluation.comparison_report": {
        *("evaluation.comparison", "evaluation.significance", "evaluation.style"),
        "glimpse_envs.files",
    },
    "evaluation.corruptions": set(),
    "evaluation.curves": {"evaluation.style"},
    "evaluation.differentiable": {"classifier", "glimpse_envs.gaze", "glimpse_envs.sensors"},
    "evaluation.equal_looks": {"evaluation.significance", "glimpse_envs.evaluation"},
    "evaluation.export": {
        *("runs", "versions", "glimpse_envs.config", "glimpse_envs.files"),
        "glimpse_envs.scanpaths",
    },
    "evaluation.figures": {"evaluation.style"},
    "evaluation.full_image": {
        *("classifier", "fitting", "warm_ups", "glimpse_envs.actions", "glimpse_envs.config"),
        *("glimpse_envs.loaders", "glimpse_envs.sensors", "glimpse_envs.strategies"),
    },
    "evaluation.full_report": {
        *("evaluation.beside", "evaluation.curves", "evaluation.figures", "evaluation.gallery"),
        *("evaluation.gaze_figures", "evaluation.page", "evaluation.reports"),
        *("evaluation.robustness_figure", "evaluation.study", "runs", "glimpse_envs.config"),
        *("glimpse_envs.gaze_statistics", "glimpse_envs.scanpaths"),
    },
    "evaluation.gallery": {
        *("evaluation.play", "glimpse_envs.config", "glimpse_envs.scanpaths"),
        "glimpse_envs.strips",
    },
    "evaluation.gaze_figures": {"evaluation.style"},
    "evaluation.measured": {"evaluation.beside", "evaluation.wording"},
    "evaluation.page": {
        *("evaluation.gallery", "evaluation.measured", "evaluation.wording", "glimpse_envs.files"),
    },
    "evaluation.peeking": {"evaluation.baselines", "glimpse_envs.config", "glimpse_envs.core"},
    "evaluation.pictures": {"glimpse_envs.config", "glimpse_envs.core", "glimpse_envs.scenes"},
    "evaluation.play": {
        *("evaluation.peeking", "glimpse_envs.boxview", "glimpse_envs.classifier"),
        *("glimpse_envs.config", "glimpse_envs.core", "glimpse_envs.envs"),
        *("glimpse_envs.scanpaths", "glimpse_envs.strategies", "glimpse_envs.videos"),
    },
    "evaluation.plots": {"evaluation.style"},
    "evaluation.reports": {
        *("evaluation.equal_looks", "evaluation.gallery", "evaluation.play", "evaluation.plots"),
        *("runs", "versions", "glimpse_envs.evaluation", "glimpse_envs.files"),
        *("glimpse_envs.scanpaths", "glimpse_envs.videos"),
    },
    "evaluation.robustness_figure": {"evaluation.style"},
    "evaluation.settings": set(),
    "evaluation.significance": {"glimpse_envs.evaluation"},
    "evaluation.study": {
        *("evaluation.baselines", "evaluation.equal_looks", "evaluation.peeking"),
        *("evaluation.play", "glimpse_envs.config", "glimpse_envs.evaluation"),
        *("glimpse_envs.gaze_statistics", "glimpse_envs.scanpaths", "glimpse_envs.statistics"),
    },
    "evaluation.style": {"glimpse_envs.files"},
    "evaluation.wording": set(),
    "experiments": set(),
    "experiments.changes": {"experiments.prices", "recipes"},
    "experiments.configuration": {
        *("experiments.changes", "recipes", "versions", "glimpse_envs.config", "glimpse_envs.sb3"),
    },
    "experiments.groups": {"experiments.changes", "experiments.training", "runs"},
    "experiments.prices": {"glimpse_envs.components", "glimpse_envs.rewards"},
    "experiments.search_plots": {"evaluation.style"},
    "experiments.search_space": {"experiments.prices", "recipes"},
    "experiments.sweeps": {
        *("evaluation.significance", "experiments.changes", "experiments.groups"),
        *("experiments.search_plots", "runs", "glimpse_envs.files"),
    },
    "experiments.tracking": {"runs"},
    "experiments.training": {"callbacks", "cotraining", "recipes", "runs", "glimpse_envs.loaders"},
    "experiments.tuning": {
        *("callbacks", "evaluation.play", "experiments.groups", "experiments.search_plots"),
        *("experiments.search_space", "experiments.training", "runs", "glimpse_envs.config"),
        *("glimpse_envs.evaluation", "glimpse_envs.files"),
    },
    "extractors": {"layers"},
    "fitting": {
        *("classifier", "sequences", "glimpse_envs.components", "glimpse_envs.config"),
        *("glimpse_envs.core", "glimpse_envs.strategies"),
    },
    "hub": {"classifier", "evaluation.reports", "recipes", "runs"},
    "hybrid": {"laws", "glimpse_envs.boxview", "glimpse_envs.components"},
    "hybrid_policies": {"hybrid", "recurrent"},
    "laws": set(),
    "layers": {"backbones"},
    "logs": {"glimpse_envs.files"},
    "memories": {"canvas", "layers", "glimpse_envs.core"},
    "recipes": {"glimpse_envs.components", "glimpse_envs.rewards"},
    "recurrent": {
        *("decision", "distributions", "extractors", "hybrid", "layers", "glimpse_envs.actions"),
        "glimpse_envs.boxview",
    },
    "runs": {
        *("classifier", "logs", "recipes", "glimpse_envs.components", "glimpse_envs.config"),
        *("glimpse_envs.files", "glimpse_envs.sb3"),
    },
    "scanpath_images": {"evaluation.play", "glimpse_envs.config", "glimpse_envs.scanpaths"},
    "sequences": {"glimpse_envs.config", "glimpse_envs.core", "glimpse_envs.strategies"},
    "token_memory": {"attention", "recurrent", "vit"},
    "versions": set(),
    "vit": {"attention", "extractors", "layers"},
    "warm_ups": {"classifier", "fitting", "glimpse_envs.config", "glimpse_envs.strategies"},
    "zoo": set(),
    "zoo_manager": {
        *("classifier", "cotraining", "glimpse_envs.config", "glimpse_envs.loaders"),
        "glimpse_envs.sb3",
    },
}
TABLES = {"glimpse_envs": ENVS, "policies": POLICIES}
ALLOWED = {
    f"{package}.{module}": {
        name if name.startswith("glimpse_envs.") else f"{package}.{name}" for name in names
    }
    for package, table in TABLES.items()
    for module, names in table.items()
}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def scripts() -> list[Path]:
    return sorted(ROOT.glob("*.py")) + python_files("benchmarks", "examples")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in python_files(*PACKAGES)}


def imports(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Every module that a file imports, `from package import module` included.

    :param lazy: also what is imported inside functions
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the package"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name for name in below if name in MODULES]
            yield from found
            if len(found) < len(below):
                yield node.module


def top_level(names: Iterator[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_lies_before_it(module):
    if module in PACKAGES:  # the public names: all of its own package
        allowed = {name for name in ALLOWED if name.startswith(f"{module}.")}
    else:
        assert module in ALLOWED, f"{module} is new: enter it with its imports in {__file__}"
        allowed = ALLOWED[module]
    ours = {name for name in imports(MODULES[module]) if name.partition(".")[0] in PACKAGES}
    assert ours <= allowed


def test_the_table_names_no_module_that_is_gone():
    assert ALLOWED.keys() <= MODULES.keys()


def test_the_allowed_imports_make_no_circle():
    rest = {name: set(below) for name, below in ALLOWED.items()}
    while rest:
        free = {name for name, below in rest.items() if not below & rest.keys()}
        assert free, f"a circle among {sorted(rest)}"
        rest = {name: below for name, below in rest.items() if name not in free}


@pytest.mark.parametrize("path", python_files("glimpse_envs"), ids=module_of)
def test_the_environments_know_neither_policies_nor_torch(path):
    used = top_level(imports(path))
    assert not used & {"policies", "torch", "sb3_contrib"}
    assert "stable_baselines3" not in used or path.name == "sb3.py"
    assert "torchvision" not in used or path.name == "downloads.py"
    assert "torchvision" not in top_level(imports(path, lazy=False))


def test_nothing_imports_a_script():
    names = {module_of(path).rpartition(".")[2] for path in scripts()} | {"benchmarks", "examples"}
    for path in python_files(*PACKAGES):
        assert not top_level(imports(path)) & names, path


@pytest.mark.parametrize("path", scripts() + python_files(*PACKAGES), ids=module_of)
def test_no_file_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_importing_the_environments_imports_no_deep_learning():
    heavy = ("torch", "torchvision", "stable_baselines3", "sklearn", "matplotlib", "policies")
    code = f"import glimpse_envs, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
