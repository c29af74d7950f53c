"""The documentation does what it says: every Python block runs, every command and link exists."""

from __future__ import annotations

import gc
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest
from pages import PAGES, Block, anchors, blocks, commands
from PIL import Image
from scripts import ROOT, succeed

from glimpse_lab.cli import eval as evaluation
from glimpse_lab.cli import train as training

PYTHON = blocks("python")
PARSERS = {"train.py": training.parse_arguments, "eval.py": evaluation.parse_arguments}
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of fixations as the page about eye movements makes it, of a tiny training."""
    folder = tmp_path_factory.mktemp("exported")
    small = ["n_envs=8", "n_steps=16", "batch_size=64", "n_epochs=1"]
    small += ["env_kwargs.classifier.width=4", "callback.CoTrainingCallback.pretraining=64"]
    succeed(
        training.main,
        *("--env", "GlimpseDigits-RAM-v0", "--total-timesteps", 128, "--no-video"),
        *("--runs", folder, "--name", "tiny", "--set", *small),
    )
    table = folder / "fixations.csv"
    run = folder / "GlimpseDigits-RAM-v0" / "tiny"
    succeed(evaluation.main, run, "--quick", "--export", table, name="eval.py")
    return table


def run(block: Block, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run a block as a module of its own; return its names."""
    module = ModuleType("documentation_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # its dataclasses ask for it
    exec(compile(block.code, str(block), "exec"), vars(module))
    return vars(module)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_a_python_block_runs_by_itself(
    block: Block,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "fixations.csv" in block.code:
        (tmp_path / "fixations.csv").symlink_to(request.getfixturevalue("exported"))
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    gc.freeze()  # what was there before need not be looked through below
    names = run(block, monkeypatch)
    assert names
    names.clear()
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")  # what the block has drawn
    gc.collect()  # or its parts would be known by name to the tests that follow


def test_a_classifier_of_ones_own_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in PYTHON if "class TemplateClassifier" in block.code]
    env = run(block, monkeypatch)["env"]
    env.reset(seed=0)
    for step in range(5):
        *_, terminated, _, info = env.step([0.1 * step, -0.1 * step])
    assert terminated and info["prediction"] >= 0


def test_every_page_has_code_or_a_picture_first() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        head = page.read_text(encoding="utf-8").split("\n## ")[0]
        if page.name != "results.md":  # which begins with what its numbers mean
            assert "```" in head or "![" in head, page.name


@pytest.mark.parametrize(
    ("block", "line"), commands(), ids=lambda value: str(value) if isinstance(value, Block) else ""
)
def test_a_command_has_the_options_it_names(block: Block, line: str) -> None:
    words = shlex.split(line)
    if words[0] != "python":
        assert words[0] in ("pip", "pytest", "mkdocs", "ruff", "lint-imports"), line
        return
    if words[1] == "-m":  # a module's options are its own
        assert (ROOT / f"{words[2].replace('.', '/')}.py").exists() or words[2] == "rl_zoo3.train"
        return
    assert (ROOT / words[1]).exists(), line
    if words[1] in PARSERS:
        PARSERS[words[1]](words[2:])  # exits where it does not understand
        return
    source = (ROOT / words[1]).read_text(encoding="utf-8")
    for word in words[2:]:
        assert not word.startswith("--") or f'"{word}"' in source, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path) if path else page
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def test_every_question_is_answered_by_a_link_from_the_readme() -> None:
    assert "](docs/questions.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    questions = page.split("\n## ")[1:]
    assert len(questions) > 10
    for question in questions:  # how to cite is answered there
        assert LINK.search(question) or "@software" in question, question


def test_pictures_are_small() -> None:
    for picture in (ROOT / "docs" / "pictures").glob("*.png"):
        assert picture.stat().st_size <= 60_000, picture.name
        assert Image.open(picture).width <= 1000, picture.name
