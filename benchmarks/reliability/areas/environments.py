"""The environments from Python, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from cases import Box, Case, WrongValueError, check, refused, works

from glimpse_envs import BoxActions
from glimpse_envs.boxview import BoxView
from glimpse_envs.sb3 import GlimpseVecEnv

MULTI, MAP, HYBRID = (f"GlimpseDigits-{name}-v0" for name in ("MultiCat", "GreedyMap", "Hybrid"))
SACCADE = "GlimpseDigits-Saccade-v0"
CANVAS = {"type": "canvas", "width": 4}


def make(env_id: str = MULTI, **arguments: Any) -> gym.Env:
    """Make a single environment as it is registered."""
    return gym.make(env_id, **arguments)


def made(**arguments: Any) -> Callable[[Box], Any]:
    """Return a call of ``gymnasium.make`` with these arguments."""
    return lambda box: make(**arguments)


def stepped(env_id: str, action: Any, n: int = 1) -> Callable[[Box], Any]:
    """Return a step of a bare environment; Gymnasium's own checks are left out."""

    def do(box: Box) -> Any:
        env = make(env_id).unwrapped
        env.reset(seed=0)
        for _ in range(n):
            result = env.step(action)
        return result

    return do


def vec(env_id: str = MULTI, n: int = 2, **arguments: Any) -> GlimpseVecEnv:
    """Make an environment of SB3 and reset it."""
    env = GlimpseVecEnv(env_id, n, **{"seed": 0, **arguments})
    env.reset()
    return env


def vec_stepped(env_id: str, actions: Any) -> Callable[[Box], Any]:
    """Return a step of an environment of SB3."""
    return lambda box: vec(env_id).step(actions)


def vector_stepped(env_id: str, actions: Any) -> Callable[[Box], Any]:
    """Return a step of an environment of Gymnasium's vectors."""

    def do(box: Box) -> Any:
        env = gym.make_vec(env_id, num_envs=2)
        env.reset(seed=0)
        return env.step(actions)

    return do


def _after_end(box: Box) -> Any:
    env = make().unwrapped
    env.reset(seed=0)
    env.step([0, 1, 3])
    return env.step([0, 1, 0])


def _no_method(box: Box) -> str:
    """SB3 asks by this error whether there is a method."""
    try:
        vec().env_method("fly")
    except AttributeError as error:
        return check("'fly'" in str(error), "an AttributeError with its name")
    raise WrongValueError("no error")


NAN, INF = float("nan"), float("inf")
_MAKE: dict[str, dict[str, Any]] = {
    "budget None": {"budget": None},
    "budget 2.0": {"budget": 2.0},
    "budget true": {"budget": True},
    "budget 0": {"budget": 0},
    "budget 10^9": {"budget": 10**9},
    "budget a list": {"budget": [3]},
    "sensor None": {"sensor": None},
    "sensor a class": {"sensor": dict},
    "sensor of another kind": {"sensor": "Terminal"},
    "sensor size NaN": {"sensor": {"type": "Crop", "size": NAN}},
    "sensor size a text": {"sensor": {"type": "Crop", "size": "8"}},
    "sensor larger than the image": {"sensor": {"type": "Crop", "size": 49}},
    "retina of 50 scales": {"sensor": {"type": "Retina", "size": 8, "scales": 50}},
    "scheme empty": {"scheme": ""},
    "scheme stride -1": {"scheme": {"type": "MultiCategorical", "stride": -1}},
    "scheme stride inf": {"scheme": {"type": "GreedyMap", "stride": INF}},
    "scheme grid 0": {"scheme": {"type": "GreedyMap", "grid": 0}},
    "scheme zoom 1.5": {"scheme": {"type": "Saccade", "zoom": 1.5}, "classifier": CANVAS},
    "reward 1.0": {"reward": 1.0},
    "reward sum of a number": {"reward": {"type": "Sum", "terms": [1]}},
    "reward sum of NaN": {"reward": {"type": "Sum", "terms": ["Terminal"], "weights": [NAN]}},
    "reward sum a text": {"reward": {"type": "Sum", "terms": "Terminal"}},
    "reward sum weights a text": {"reward": {"type": "Sum", "terms": ["Terminal"], "weights": "1"}},
    "reward clip -1": {"reward": {"type": "InformationGain", "clip": -1}, "classifier": CANVAS},
    "reward needs a classifier": {"reward": "UncertaintyReduction"},
    "scene pieces -1": {"scene": {"type": "ClutteredCanvas", "pieces": -1}},
    "scene pieces 10^9": {"scene": {"type": "ClutteredCanvas", "pieces": 10**9}},
    "scene piece larger than the image": {"scene": {"type": "ClutteredCanvas", "piece": 500}},
    "scene blend": {"scene": {"type": "ClutteredCanvas", "blend": "xor"}},
    "scene smaller than the image": {"scene": {"type": "TranslatedCanvas", "side": 4}},
    "scene of 60,000": {"scene": {"type": "TranslatedCanvas", "side": 60_000}},
    "start a list": {"start": ["centre"]},
    "start of another name": {"start": "center"},
    "split None": {"split": None},
    "split a number": {"split": 1},
    "scene_seed 1.5": {"scene_seed": 1.5},
    "scene_seed 2^63": {"scene_seed": 2**63},
    "classifier a text": {"classifier": "resnet"},
    "classifier a number": {"classifier": 5},
    "classifier an object": {"classifier": object()},
    "classifier an unknown argument": {"classifier": {"type": "canvas", "colour": 1}},
    "classifier width a text": {"classifier": {"type": "canvas", "width": "wide"}},
    "classifier width NaN": {"classifier": {"type": "canvas", "width": NAN}},
    "classifier from nowhere": {"classifier": {"type": "file", "path": "nowhere.zip"}},
    "classifier path a number": {"classifier": {"type": "file", "path": 5}},
    "features without a classifier": {"observe_classifier_features": True},
    "history 'yes'": {"observe_history": "yes"},
    "history 1": {"observe_history": 1},
    "augment a number": {"augment": 3},
    "augment of another name": {"augment": "Cutout"},
    "augment shift -1": {"augment": {"type": "ShiftFlip", "shift": -1}},
    "dataset None": {"dataset": None},
    "dataset an array": {"dataset": np.zeros((4, 8, 8, 1), np.uint8)},
    "render_mode ansi": {"render_mode": "ansi"},
    "an unknown argument": {"glimpse_size": 8},
}
_ACTIONS: list[tuple[str, str, Any]] = [
    (MULTI, "None", None),
    (MULTI, "a text", "left"),
    (MULTI, "NaN", [NAN, 1, 0]),
    (MULTI, "inf", [INF, 1, 0]),
    (MULTI, "two entries", [1, 1]),
    (MULTI, "a batch", [[1, 1, 0]]),
    (MULTI, "halves", [0.5, 1, 0]),
    (MULTI, "negative", [-1, 1, 0]),
    (MULTI, "beyond the classes", [0, 1, 11]),
    (MULTI, "2^64", [2**64, 1, 0]),
    (MULTI, "texts", ["0", "1", "0"]),
    (MULTI, "ragged", [[0], [1, 2], 0]),
    (MULTI, "a dict", {"move": 0}),
    (MULTI, "an object", object()),
    (MULTI, "complex", [0j, 1, 0]),
    (MAP, "a list", [1]),
    (MAP, "16", 16),
    (MAP, "2.5", 2.5),
    (MAP, "NaN", NAN),
    (MAP, "a text", "3"),
    (HYBRID, "an empty dict", {}),
    (HYBRID, "a list", [0, 1, 2, 3]),
    (HYBRID, "move NaN", {"decision": 0, "class": 0, "move": [NAN, 0], "zoom": [0]}),
    (HYBRID, "move beyond", {"decision": 0, "class": 0, "move": [1.5, 0], "zoom": [0]}),
    (HYBRID, "a part too many", {"decision": 0, "class": 0, "move": [0, 0], "zoom": [0], "x": 1}),
    (HYBRID, "class None", {"decision": 0, "class": None, "move": [0, 0], "zoom": [0]}),
]
_SEEDS: list[Any] = [-1, 1.5, "abc", NAN, [1, 2], 2**200 + 0.5, object(), b"1"]
_INDEX: list[Any] = [-1, 10**9, 1.5, "0", None, [0, 1], [], NAN, {"a": 1}, 2**70]

CASES: list[Case] = [
    *(refused(f"make: {name}", made(**arguments)) for name, arguments in _MAKE.items()),
    *(
        refused(f"step {env_id}: {name}", stepped(env_id, action))
        for env_id, name, action in _ACTIONS
    ),
    *(
        refused(f"reset: seed {str(seed)[:30]}", lambda box, seed=seed: make().reset(seed=seed))
        for seed in _SEEDS
    ),
    *(
        refused(
            f"VecEnv: seed {str(seed)[:30]}",
            lambda box, seed=seed: GlimpseVecEnv(MULTI, 2, seed=seed).reset(),
        )
        for seed in _SEEDS
    ),
    *(
        refused(
            f"reset: index {str(index)[:30]}",
            lambda box, index=index: make().reset(options={"index": index}),
        )
        for index in _INDEX
    ),
    *(
        refused(f"VecEnv: {n!r} lanes", lambda box, n=n: GlimpseVecEnv(MULTI, n))
        for n in (0, -1, 2.0, "2", None, 10**12, True)
    ),
    *(
        refused(f"make_vec: {n!r} lanes", lambda box, n=n: gym.make_vec(MULTI, num_envs=n))
        for n in (0, -3, 10**12)
    ),
    *(
        refused(
            f"VecEnv: indices {i!r}",
            lambda box, i=i: vec(MAP).env_method("action_masks", indices=i),
        )
        for i in (2, -3, 0.5, "0", [[0]], [0, 9])
    ),
    refused("make without a classifier", made(env_id=SACCADE)),
    refused("step before reset", lambda box: make().unwrapped.step([0, 1, 0])),
    refused("step after the end", _after_end),
    refused("render before reset", lambda box: make(render_mode="rgb_array").unwrapped.render()),
    refused("masks before reset", lambda box: make().unwrapped.action_masks()),
    refused("masks of Hybrid", lambda box: vec(HYBRID).action_masks()),
    refused("reset: options a list", lambda box: make().reset(options=[1])),
    refused("reset: options of another name", lambda box: make().reset(options={"image": 1})),
    refused(
        "make_vec: two seeds for three",
        lambda box: gym.make_vec(MULTI, num_envs=3).reset(seed=[1, 2]),
    ),
    refused(
        "make_vec: a seed of text among them",
        lambda box: gym.make_vec(MULTI, num_envs=2).reset(seed=[1, "b"]),
    ),
    refused("make_vec: seed a float", lambda box: gym.make_vec(MULTI, num_envs=2).reset(seed=1.5)),
    refused(
        "make_vec: step before reset",
        lambda box: gym.make_vec(MULTI, num_envs=2).step([[0, 1, 0]] * 2),
    ),
    refused("make_vec: actions of one lane", vector_stepped(MULTI, [0, 1, 0])),
    refused("make_vec: actions of three lanes", vector_stepped(MULTI, [[0, 1, 0]] * 3)),
    refused("make_vec: actions a list of dicts", vector_stepped(HYBRID, [{"decision": 0}] * 2)),
    refused("make_vec: NaN in one lane", vector_stepped(MULTI, [[0, 1, 0], [NAN, 1, 0]])),
    refused(
        "VecEnv: step before reset", lambda box: GlimpseVecEnv(MULTI, 2).step(np.zeros((2, 3), int))
    ),
    refused("VecEnv: actions of one lane", vec_stepped(MULTI, np.zeros((1, 3), int))),
    refused("VecEnv: actions None", vec_stepped(MULTI, None)),
    refused("VecEnv: NaN in a Box", vec_stepped(HYBRID, np.full((2, 15), NAN))),
    refused("VecEnv: beyond a Box", vec_stepped(HYBRID, np.full((2, 15), 1e9))),
    refused("VecEnv: an id of another package", lambda box: GlimpseVecEnv("CartPole-v1")),
    refused("VecEnv: an id that is None", lambda box: GlimpseVecEnv(None)),
    refused(
        "VecEnv: arguments beside a config", lambda box: GlimpseVecEnv(vec().config, 2, budget=3)
    ),
    refused("VecEnv: set_attr of one lane", lambda box: vec().set_attr("x", 1, indices=0)),
    works("VecEnv: a method that is none", _no_method),
    refused("VecEnv: render_mode a list", lambda box: vec(render_mode=["rgb_array"])),
    refused(
        "VecEnv: seed() with a text", lambda box: (lambda env: (env.seed("a"), env.reset()))(vec())
    ),
    refused(
        "VecEnv: an option of another name",
        lambda box: (lambda env: (env.set_options({"image": 1}), env.reset()))(vec()),
    ),
    refused("replace: budget", lambda box: replace(vec().config, budget=-1)),
    refused("BoxActions on a Discrete", lambda box: BoxActions(make(MAP))),
    refused("BoxView of an empty Dict", lambda box: BoxView(gym.spaces.Dict())),
    refused("BoxView of a Text", lambda box: BoxView(gym.spaces.Dict(a=gym.spaces.Text(4)))),
    refused(
        "BoxView: a name with a dot",
        lambda box: BoxView(gym.spaces.Dict({"a.b": gym.spaces.Discrete(2)})),
    ),
    refused("BoxView of a Discrete", lambda box: BoxView(gym.spaces.Discrete(3))),
    refused(
        "BoxView: encode a class too far",
        lambda box: BoxView(gym.spaces.Dict(a=gym.spaces.Discrete(3))).encode({"a": 3}),
    ),
    refused(
        "BoxView: encode a negative class",
        lambda box: BoxView(gym.spaces.Dict(a=gym.spaces.Discrete(3))).encode({"a": -1}),
    ),
    refused(
        "BoxView: encode a text",
        lambda box: BoxView(gym.spaces.Dict(a=gym.spaces.Discrete(3))).encode({"a": "x"}),
    ),
    refused(
        "a config with an object to JSON",
        lambda box: make(sensor=vec().config.sensor).spec.to_json(),
    ),
]
