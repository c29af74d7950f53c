"""What is interrupted, changed or made anew, as one does it in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from graphs import pipeline

from glimpse_lab.graph import GraphError, Input, Module


class Interrupted(Module):
    """Passes nothing on; the run with number ``at`` is interrupted by the user."""

    crop = Input(np.ndarray)

    def __init__(self) -> None:
        self.runs, self.at = 0, None

    def run(self):
        self.runs += 1
        if self.runs == self.at:
            raise KeyboardInterrupt


def small() -> SimpleNamespace:
    p = pipeline(dataset="digits")
    p.classifier.hidden >> p.saccader.observation
    return p


@pytest.mark.parametrize("at", [1, 4, 7])  # first crop, middle, first crop of the second episode
def test_a_run_goes_on_after_an_interrupted_episode(at: int) -> None:
    p, interrupted = small(), Interrupted()
    p.outer.modules.insert(2, interrupted)
    p.inner.modules.append(interrupted)
    for crop in (p.centre, p.cropper):
        crop.output >> interrupted.crop
    graph = p.make()
    interrupted.at = at
    with pytest.raises(KeyboardInterrupt):
        graph.run(80)
    before = p.capsule.training.parts.store.total
    interrupted.at = None
    graph.run(80)
    assert p.capsule.training.parts.store.total == before + 16  # whole episodes alone


def test_a_run_goes_on_after_an_interrupted_fit() -> None:
    p = small()
    graph = p.make()
    fitter = p.capsule.training.fitter
    update = fitter.update

    def interrupted(*arguments):
        raise KeyboardInterrupt

    fitter.update = interrupted
    with pytest.raises(KeyboardInterrupt):
        graph.run(80)
    fitter.update = update
    graph.run(80)
    assert p.capsule.fits


def test_another_number_of_crops() -> None:
    p = small()
    p.make().run(80)
    p.inner.nb = 3
    p.make().run(80)
    stored = p.capsule.training.parts.store
    assert stored.total == 24  # a rollout of 10 steps a lane; none of the longer episodes before
    assert stored.sample(1, np.random.default_rng(0)).gaze.shape == (1, 4, 3)


@pytest.mark.parametrize(
    "edge",
    [
        lambda p: (p.database.label, p.classifier.label),
        lambda p: (p.saccader.x, p.cropper.x),
    ],
)
def test_nothing_is_left_of_an_edge_that_is_taken_away(edge: Callable) -> None:
    p = small()
    p.make().run(80)
    source, target = edge(p)
    assert target.value is not None
    source.disconnect(target)
    assert target.value is None


def take_away(p: SimpleNamespace) -> None:
    p.classifier.hidden.disconnect(p.saccader.observation)


def move(p: SimpleNamespace) -> None:
    p.classifier.output >> p.saccader.belief


def more_crops(p: SimpleNamespace) -> None:
    p.inner.nb = 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (take_away, "Classifier.hidden >> PPOSaccader.observation was taken away"),
        (move, "Classifier.output >> PPOSaccader.belief is new"),
        (more_crops, "another order or nb"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda graph: graph.run(80),
        lambda graph: graph.evaluate(n=8),
        lambda graph: graph.environment,
        lambda graph: graph.draw(),
    ],
)
def test_a_graph_that_is_changed_has_to_be_made_anew(
    change: Callable, message: str, use: Callable
) -> None:
    p = small()
    graph = p.make()
    change(p)
    with pytest.raises(GraphError, match=rf"changed after it was made \(.*{message}"):
        use(graph)


def test_learning_rates_of_a_further_run_go_on() -> None:
    p = small()
    graph = p.make()
    scales = []
    p.capsule.training.fitter.update = lambda batch, scale: scales.append(scale)
    graph.run(80)
    env = graph.vector_environment(8)  # its episodes are no part of the training
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.zeros((8, 2), np.float32))
    n_first = len(scales)
    graph.run(80)
    assert set(scales[:n_first]) == {1.0} and scales[n_first] == pytest.approx(0.5)
    assert scales[-1] <= scales[n_first]
    assert graph.agent._current_progress_remaining == 0.0


def test_names_stay_when_a_graph_is_made_anew() -> None:
    p = small()
    names = []
    for _ in range(2):
        names.append([part.name for module in p.make().modules for part in module.parts()])
    assert names[0] == names[1] and p.classifier.name == "Classifier"
