"""The registered environments.

``Glimpse<Data>-<Scheme>-v0``; of inverse action modelling ``GlimpseInverse<Data>-v0``, and
``GlimpseInstructed<Data>-v0``, where the action is told in words.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym

#: Data: the data set, what is shown of it, sensor sizes, glimpses where a classifier answers, and
#: the first gaze where that is the same for all schemes, with the schemes for such data alone
DATA: dict[str, dict[str, Any]] = {
    "Digits": {
        "dataset": "digits",
        "scene": {"type": "ClutteredCanvas", "side": 48, "pieces": 4, "piece": 8},
        "crop": 8,
        "retina": (8, 3),
        "n_glimpses": 6,
    },
    "MNIST": {"dataset": "mnist", "crop": 8, "retina": (8, 1), "n_glimpses": 6},
    "FashionMNIST": {"dataset": "fashion_mnist", "crop": 8, "retina": (8, 1), "n_glimpses": 6},
    "CIFAR": {"dataset": "cifar10", "crop": 8, "retina": (8, 3), "n_glimpses": 6},
    "TranslatedMNIST": {
        "dataset": "mnist",
        "scene": {"type": "TranslatedCanvas", "side": 60},
        "crop": 12,
        "retina": (12, 3),
        "n_glimpses": 8,
    },
    "ClutteredMNIST": {
        "dataset": "mnist",
        "scene": {"type": "ClutteredCanvas", "side": 60, "pieces": 4, "piece": 8},
        "crop": 12,
        "retina": (12, 3),
        "n_glimpses": 8,
    },
    "ClutteredMNIST100": {
        "dataset": "mnist",
        "scene": {"type": "ClutteredCanvas", "side": 100, "pieces": 8, "piece": 8},
        "crop": 12,
        "retina": (12, 4),
        "n_glimpses": 8,
    },
    "ClutteredCIFAR": {
        "dataset": "cifar10",
        "scene": {
            "type": "ClutteredCanvas",
            "side": 96,
            "pieces": 8,
            "piece": 16,
            "blend": "paste",
        },
        "crop": 12,
        "retina": (12, 4),
        "n_glimpses": 8,
    },
    "MovingMNIST": {
        "dataset": "mnist",
        "scene": {"type": "MovingCanvas", "side": 64, "objects": 2},
        "start": "target",
        "also": ("Pursuit",),
        "crop": 12,
        "retina": (12, 3),
        "n_glimpses": 8,
    },
    "MovingCIFAR": {
        "dataset": "cifar10",
        "scene": {"type": "MovingCanvas", "side": 96, "objects": 3, "blend": "paste"},
        "start": "target",
        "also": ("Pursuit",),
        "crop": 12,
        "retina": (12, 4),
        "n_glimpses": 8,
    },
}

#: The crop of Saccade, odd so that it is centred on a pixel (saccader internship report)
_SACCADE_CROP = {8: 9, 12: 13}


def _parts(data: dict[str, Any], scheme: str) -> dict[str, Any]:
    """Return the arguments of one environment, all of them serialisable."""
    parts: dict[str, Any] = {"dataset": data["dataset"], "scene": data.get("scene", "Plain")}
    if "start" in data:
        parts["start"] = data["start"]
    crop = {"type": "Crop", "size": data["crop"]}
    if scheme == "GreedyMap":
        return parts | {"sensor": crop, "scheme": "GreedyMap", "budget": 16}
    if scheme == "MultiCat":
        return parts | {"sensor": crop, "scheme": "MultiCategorical", "budget": 8}
    if scheme == "Hybrid":
        return parts | {"sensor": crop, "scheme": "Hybrid", "budget": 8}
    if scheme == "Saccade":
        crop["size"] = _SACCADE_CROP[data["crop"]]
        return parts | {"sensor": crop, "scheme": "Saccade", "budget": data["n_glimpses"]}
    size, scales = data["retina"]
    parts |= {"sensor": {"type": "Retina", "size": size, "scales": scales}}
    if scheme == "Pursuit":
        return parts | {"scheme": "Pursuit", "reward": "TimeOnTarget", "budget": 20}
    start = {"start": data.get("start", "random")}
    return parts | {"scheme": "Saccade"} | start | {"budget": data["n_glimpses"]}


SCHEMES = ("GreedyMap", "MultiCat", "Hybrid", "Saccade", "RAM")


def schemes_of(name: str) -> tuple[str, ...]:
    """Return the schemes that are registered with data of this name."""
    return (*SCHEMES, *DATA[name].get("also", ()))


#: every registered id with its arguments
REGISTERED: dict[str, dict[str, Any]] = {
    f"Glimpse{name}-{scheme}-v0": _parts(data, scheme)
    for name, data in DATA.items()
    for scheme in schemes_of(name)
}

#: the arguments of every registered environment of inverse action modelling
INVERSE: dict[str, dict[str, Any]] = {
    "GlimpseInverseDigits-v0": {
        "dataset": "digits",
        "scene": {"type": "Objects", "side": 48},
        "actions": [
            {"type": "MoveX", "largest": 12.0},
            {"type": "MoveY", "largest": 12.0},
            "Rotate",
            "Scale",
            "Brighten",
        ],
    },
    "GlimpseInverseMNIST-v0": {"dataset": "mnist", "scene": {"type": "Objects", "side": 64}},
    "GlimpseInverseCIFAR-v0": {
        "dataset": "cifar10",
        "scene": {"type": "Objects", "blend": "paste"},
    },
    "GlimpseInverseGUI-v0": {
        "dataset": None,
        "scene": "Gui",
        "similarity": {"type": "MultiScale", "sigmas": [0.0, 8.0, 24.0]},
    },
}

#: what the object is called where its action is told in words
_NOUNS = {"Digits": "digit", "MNIST": "digit", "CIFAR": "picture", "GUI": "panel"}

#: the arguments of those whose action is told in words in the place of the image after it
INSTRUCTED: dict[str, dict[str, Any]] = {
    f"GlimpseInstructed{name}-v0": INVERSE[f"GlimpseInverse{name}-v0"] | {"instructions": noun}
    for name, noun in _NOUNS.items()
}


def register_all() -> None:
    """Register every environment.

    The budget ends episodes, so no ``max_episode_steps`` is given: a TimeLimit on top would flag
    them truncated too.
    """
    for module, kind, ids in (
        ("glimpse_envs.envs", "Glimpse", REGISTERED),
        ("glimpse_envs.inverse.envs", "Inverse", INVERSE | INSTRUCTED),
    ):
        for env_id, parts in ids.items():
            gym.register(
                env_id,
                entry_point=f"{module}:{kind}Env",
                vector_entry_point=f"{module}:{kind}VectorEnv",
                kwargs=parts,
            )
