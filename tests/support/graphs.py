"""The report's pipeline as a small graph, for tests to change and to break."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from glimpse_lab.graph import (
    BatchCapsule,
    Classifier,
    Cropper,
    Database,
    Graph,
    Loop,
    PPOSaccader,
    Reward,
)

#: a rollout of 8 episodes, and little training
SMALL = {"n_steps": 10, "batch_size": 40, "n_epochs": 1}


def pipeline(
    classifier: Any = None,
    *,
    dataset: Any = "mnist",
    scene: Any = "Plain",
    reward: Any = "PerStep",
    order: str = "random",
    saccader: PPOSaccader | None = None,
    **capsule: Any,
) -> SimpleNamespace:
    """Return the connected modules, and ``make``, which compiles them; nothing is observed yet."""
    p = SimpleNamespace()
    p.database = Database(dataset, scene=scene, order=order)
    p.centre, p.cropper = Cropper(9), Cropper(9)
    p.classifier = classifier or Classifier("gru", encoder="mlp", hidden_size=16, code_size=16)
    p.capsule = BatchCapsule(p.classifier, **{"threshold": 16, "batch_size": 8} | capsule)
    p.saccader = saccader or PPOSaccader(**SMALL)
    p.reward = Reward(reward)
    p.inner = Loop([p.saccader, p.cropper, p.capsule, p.reward], nb=5)
    p.outer = Loop([p.database, p.centre, p.capsule, p.reward, p.inner])

    p.database.img >> [p.centre.img, p.cropper.img]
    p.database.label >> [p.classifier.label, p.reward.label]
    for crop in (p.centre, p.cropper):
        crop.output >> p.classifier.input
        if "gaze" in p.classifier.ports:
            crop.gaze >> p.classifier.gaze
    p.saccader.x >> p.cropper.x
    p.saccader.y >> p.cropper.y
    p.classifier.output >> p.reward.belief
    p.reward.output >> p.saccader.reward
    p.make = lambda **arguments: Graph(p.outer, **{"seed": 0, "lanes": 8} | arguments)
    return p


def observe_all(p: SimpleNamespace) -> None:
    """Let the saccader observe what the registered environment shows."""
    for crop in (p.centre, p.cropper):
        crop.output >> p.saccader.glimpse
        crop.gaze >> p.saccader.gaze
    p.classifier.output >> p.saccader.belief
    p.classifier.hidden >> p.saccader.classifier_features
    p.inner.remaining >> p.saccader.remaining
