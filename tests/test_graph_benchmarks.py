"""The benchmarks and the page about graphs: on tiny budgets."""

import re
from types import ModuleType

from pages import blocks
from scripts import load_script, succeed

from benchmarks.graph_pipeline import make_graph
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.graph.recipe import ENV_ID, capsule_settings, saccade_recipe
from policies.classifier.cotraining import CoTrainingCallback


def benchmark(name: str, *arguments: object) -> str:
    script: ModuleType = load_script(f"benchmarks/{name}.py")
    return succeed(script.main, *arguments, name=f"benchmarks/{name}.py")


def test_the_speed_is_given_as_a_ratio() -> None:
    printed = benchmark("graph_speed", "--repeats", 1, "--rollouts", 1, "--lanes", 8)
    assert float(re.search(r"graph / registered: ([\d.]+)", printed)[1]) > 0


def test_both_pipelines_are_trained_and_evaluated() -> None:
    small = ("--pretraining", 0, "--timesteps", 80, "--lanes", 8, "--observe", "hidden")
    printed = benchmark("graph_accuracy", "--data", "MNIST", *small)
    found = re.findall(r"(graph|registered) +([\d.]+) % \(.*\) of 60 test images", printed)
    assert [name for name, _ in found] == ["graph", "registered"]


def test_the_pipelines_share_their_pretrained_classifier() -> None:
    graph = make_graph(seed=3, lanes=2, pretraining=1000)
    (capsule,) = [m for m in graph.modules if hasattr(m, "training")]
    kwargs = saccade_recipe()["env_kwargs"]
    classifier = {**kwargs["classifier"], "seed": 3}
    env = GlimpseVecEnv(ENV_ID, 2, **{**kwargs, "classifier": classifier})
    theirs = CoTrainingCallback(**{**capsule_settings(), "pretraining": 1000})
    ours = capsule.training
    key = theirs.pretraining.key(env.config, 3)
    assert ours.parts.pretraining.key(ours.config, 3) == key
    assert ours.parts.pretraining.key(ours.config, 4) != key


def test_the_picture_on_the_page_is_that_of_its_listing() -> None:
    (picture,) = [b.code for b in blocks("mermaid") if b.page == "docs/graph.md"]
    listing = next(b.code for b in blocks("python") if b.page == "docs/graph.md")
    lines = [line for line in listing.splitlines() if line.strip()]
    assert len(lines) <= 25
    names: dict = {}
    made = "\n".join(line for line in lines if "graph.run" not in line and "print" not in line)
    exec(made, names)
    assert names["graph"].draw() == picture.rstrip()
