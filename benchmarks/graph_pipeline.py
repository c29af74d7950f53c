"""The registered Saccade pipeline, written as a graph."""

from __future__ import annotations

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
from glimpse_lab.graph.recipe import saccade_recipe


def make_graph(
    dataset: Any = "mnist",
    *,
    scene: Any = "Plain",
    crop: int = 9,
    n_crops: int = 6,
    observe: str = "all",
    seed: int = 0,
    lanes: int | None = None,
    **capsule: Any,
) -> Graph:
    """Return database, cropper, classifier in a capsule and saccader, with six crops.

    :param dataset: as environments take it
    :param scene: what is shown of an image
    :param crop: side of the crops, pixels
    :param n_crops: of an image
    :param observe: "all" that the registered environment shows, or "hidden" for the classifier's
        hidden layer alone, as in the report
    :param seed: of everything
    :param lanes: episodes side by side
    :param capsule: settings of the ``BatchCapsule``
    """
    env_kwargs = saccade_recipe()["env_kwargs"]
    kind = dict(env_kwargs["classifier"])
    database = Database(dataset, scene=scene, augment=env_kwargs["augment"], order="random")
    centre, cropper = Cropper(crop), Cropper(crop)
    classifier = Classifier(kind.pop("type"), **kind)
    capsule = BatchCapsule(classifier, **capsule)
    saccader, reward = PPOSaccader(), Reward(env_kwargs["reward"])
    inner = Loop([saccader, cropper, capsule, reward], nb=n_crops - 1)

    database.img >> [centre.img, cropper.img]
    database.label >> [classifier.label, reward.label]
    saccader.x >> cropper.x
    saccader.y >> cropper.y
    for each in (centre, cropper):
        each.output >> classifier.input
        each.gaze >> classifier.gaze
    classifier.output >> reward.belief
    reward.output >> saccader.reward
    if observe == "all":
        for each in (centre, cropper):
            each.output >> saccader.glimpse
            each.gaze >> saccader.gaze
        classifier.output >> saccader.belief
        classifier.hidden >> saccader.classifier_features
        inner.remaining >> saccader.remaining
    else:
        classifier.hidden >> saccader.observation
    return Graph(Loop([database, centre, capsule, reward, inner]), seed=seed, lanes=lanes)
