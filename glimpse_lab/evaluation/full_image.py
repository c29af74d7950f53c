"""The reference for agents that look by glimpses: the same kind of classifier, shown it all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from glimpse_envs.actions import Anywhere
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.data.directory import data_directory
from glimpse_envs.sensors import Crop
from glimpse_envs.strategies import Blind, Centre
from policies.classifier.cache import ClassifierCache, training_key
from policies.classifier.model import TorchClassifier, View
from policies.classifier.trainer import Fitter, pretrain
from policies.save_timer import SaveTimer

#: episodes of its training: about two minutes of one core on MNIST
N_IMAGES = 300_000

_GAZE = Centre()  # there is no other
_ROUND_A_GAZE = ("frame", "keep")


def full_image_config(
    config: GlimpseConfig,
    *,
    seed: int = 0,
    width: int | None = None,
    resolution: int | None = None,
) -> GlimpseConfig:
    """Return the environment of a single glance at the whole image, with an untrained classifier.

    The sensor is a ``Crop`` as large as the image's shorter side, or as ``resolution`` asks; of an
    image that is no square it sees the middle, of one that keeps its proportions the whole frame.
    The classifier has the memory and the settings of the environment's own, or a canvas of width 24
    where that is no ``TorchClassifier``. A canvas that reads round the last glimpse alone
    (``frame``) reads the whole image here.

    :param config: of the agent; data, scene, split and augmentation stay
    :param seed: of the first weights
    :param width: take a canvas of this width, whatever the environment's classifier is
    :param resolution: pixels a side that the image is shown with, each the mean of what it covers;
        None for all
    :raises ValueError: for a resolution above the image's
    """
    side = min(config.shape[:2])
    if resolution is not None and not 1 <= resolution <= side:
        raise ValueError(f"got resolution={resolution}; wanted 1 to {side}, the image's own")
    own = config.classifier
    kind, settings = "canvas", {"width": width or 24}
    if width is None and isinstance(own, TorchClassifier):
        kind = own.kind
        settings = {key: value for key, value in own.settings.items() if key not in _ROUND_A_GAZE}
    glance = replace(
        config,
        dataset=config.dataset.in_frames(),
        sensor=Crop(resolution or side),
        scheme=Anywhere(),
        reward="Terminal",
        budget=1,
        start="overview",
        classifier=Blind(config.dataset.n_classes),
        observe_classifier_features=False,
        observe_history=False,
    )
    view = View.of(glance)
    view = replace(view, finest_cell=view.coarsest_cell)  # it does not come closer
    return replace(glance, classifier=TorchClassifier(view, kind, seed=seed, **settings))


def full_image_classifier(
    config: GlimpseConfig,
    *,
    n_images: int = N_IMAGES,
    seed: int = 0,
    width: int | None = None,
    resolution: int | None = None,
    batch_size: int = 256,
    folder: Path | None = None,
    progress: bool = True,
    **fit: Any,
) -> tuple[TorchClassifier, GlimpseConfig]:
    """Train a classifier of whole images on the train split.

    Or find it where it was trained before.

    It is kept by content, as pretrainings are. Ctrl-C keeps what was learnt so far, and the next
    call goes on from there.

    :param config: of the agent, with the augmentation of its training
    :param n_images: episodes, each used once
    :param seed: of first weights and episodes
    :param width: take a canvas of this width, whatever the environment's classifier is
    :param resolution: pixels a side that the image is shown with; None for all
    :param batch_size: episodes of one update
    :param folder: where it is kept; None for ``classifiers`` in the data directory
    :param progress: show a progress bar
    :param fit: arguments of :class:`~policies.classifier.trainer.Fitter`
    :return: the classifier, and the environment that it reads
    """
    glance = full_image_config(config, seed=seed, width=width, resolution=resolution)
    classifier = glance.classifier
    train = replace(glance, split="train")
    fitter = Fitter(classifier, **fit)
    key = training_key(train, _GAZE, [n_images, batch_size, 0.0, fit], seed)
    cache = ClassifierCache(data_directory() / "classifiers" if folder is None else folder)
    file, part = cache.file(key), cache.file(key, ".part.pt")
    if cache.recall(file, key, fitter) is not None:
        print(f"the full-image classifier was trained before with these settings: {file}")
        return classifier, glance
    seen = 0
    if (before := cache.recall(part, key, fitter)) is not None:
        seen = int(before["pretrained"])
        print(f"the full-image classifier goes on from {seen:,} episodes: {part}")
    fitter.rng = np.random.default_rng([seed, seen])
    timer = SaveTimer()
    updates = pretrain(
        fitter,
        train,
        _GAZE,
        n_images,
        begun=seen,
        batch_size=batch_size,
        seed=[seed, seen],
        progress=progress,
    )
    try:
        for now in updates:
            seen = now
            if timer.due():
                with timer.saving():
                    cache.keep(part, key, fitter, pretrained=seen)
    except KeyboardInterrupt:
        cache.keep(part, key, fitter, pretrained=seen)
        raise
    if cache.keep(file, key, fitter, pretrained=seen):
        part.unlink(missing_ok=True)
    return classifier, glance
