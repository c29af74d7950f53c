"""Classifiers trained along a given gaze, kept by content: the same settings find them again."""

import hashlib
import json
from pathlib import Path
from typing import Any

from glimpse_envs.config import GlimpseConfig
from glimpse_envs.strategies import ScriptedGaze
from policies.classifier.model import read_file
from policies.classifier.trainer import Fitter

#: of what makes a pretraining; raise it when sensors, strategies or the loss change
_VERSION = 1


def pretraining_key(
    config: GlimpseConfig, gaze: ScriptedGaze, training: list[Any], seed: int
) -> str:
    """Return hexadecimal digits that tell this training from others.

    :param config: the environment, with the classifier as it is before its training
    :param gaze: of the episodes
    :param training: other settings, of JSON's types
    :param seed: of images, scenes and gaze
    """
    parts = ("scene", "sensor", "start", "budget", "augment")
    content = {
        "classifier": config.classifier.digest(),  # with its first weights
        "dataset": config.dataset.digest,
        "environment": {name: str(getattr(config, name)) for name in parts},
        # not the scheme: agents that act otherwise begin with the same classifier
        "gaze": [config.scheme.start_zoom(config.start), gaze.identity(config)],
        "training": training,
        "seed": seed,
        "version": _VERSION,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def recall(file: Path, fitter: Fitter) -> dict[str, Any]:
    """Take weights and optimiser of a training with the same settings.

    :param file: named by :func:`pretraining_key`
    :param fitter: of the classifier that gets them
    :return: what else was kept
    :raises ClassifierError: if the file is broken
    """
    content = read_file(file)
    fitter.classifier.load_state_dict(content["weights"])
    fitter.optimizer.load_state_dict(content["extras"]["optimizer"])
    return content["extras"]
