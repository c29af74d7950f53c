"""Parts by name, dict and object; what copies, pickles and serialises."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, dataclass

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

from glimpse_envs import ActionScheme, ImageDataset, Reward, Scene, Sensor
from glimpse_envs.actions import GreedyMap, Hybrid, MultiCategorical, Saccade
from glimpse_envs.components import resolve
from glimpse_envs.rewards import GlimpseCost, PerStep, Sum, Terminal
from glimpse_envs.scenes import ClutteredCanvas, Plain, TranslatedCanvas
from glimpse_envs.sensors import Crop, Retina

PARTS = [
    (Sensor, Crop(5), {"type": "Crop", "size": 5}),
    (Sensor, Retina(4, 2), {"type": "Retina", "size": 4, "scales": 2}),
    (Scene, Plain(), "Plain"),
    (Scene, TranslatedCanvas(50), {"type": "TranslatedCanvas", "side": 50}),
    (Scene, ClutteredCanvas(pieces=2), {"type": "ClutteredCanvas", "pieces": 2}),
    (ActionScheme, GreedyMap(grid=4), {"type": "GreedyMap", "grid": 4}),
    (ActionScheme, MultiCategorical(stride=1.0), {"type": "MultiCategorical", "stride": 1.0}),
    (ActionScheme, Hybrid(), {"type": "Hybrid"}),
    (ActionScheme, Saccade(), "Saccade"),
    (Reward, Terminal(), "Terminal"),
    (Reward, Sum((Terminal(), PerStep())), {"type": "Sum", "terms": ["Terminal", "PerStep"]}),
]
IDS = [str(part) for _, part, _ in PARTS]


@dataclass(frozen=True)
class Doubled(Reward):
    """A user's own reward."""

    times: float = 2.0

    def __call__(self, outcome):
        return np.float32(self.times) * Terminal()(outcome)


@pytest.mark.parametrize(("base", "part", "spec"), PARTS, ids=IDS)
def test_a_part_is_found_by_name_or_dict_and_an_object_is_itself(base, part, spec):
    assert resolve(part, base) is part
    assert resolve(spec, base) == part
    assert type(resolve(spec, base)) is type(part)


def test_a_part_of_ones_own_is_found_by_name():
    assert resolve({"type": "Doubled", "times": 3.0}, Reward) == Doubled(3.0)


@pytest.mark.parametrize(
    ("value", "base", "message"),
    [
        ("crop", Sensor, r"unknown Sensor 'crop'; did you mean 'Crop'\? known: .*Crop.*Retina"),
        ("MultiCat", ActionScheme, "did you mean 'MultiCategorical'"),
        ("Terminal", Scene, r"unknown Scene 'Terminal'"),
        ("_AreaSensor", Sensor, "unknown Sensor"),
        ({"type": "Crop", "sise": 8}, Sensor, r"Crop has no argument 'sise'; did you mean 'size'"),
        ({"type": "Plain", "side": 8}, Scene, r"Plain has no argument 'side'"),
        ({"type": "Crop", "_guard": 1}, Sensor, r"Crop has no argument '_guard'"),
        ({"type": "Crop", "size": "8"}, Sensor, r"Crop\(size='8'\); wanted an integer"),
        ({"type": "Saccade", "zoom": "1"}, ActionScheme, "wanted a finite number"),
        ({"size": 8}, Sensor, r"wanted a Sensor object, a class name, or a dict"),
        (8, Sensor, r"got 8 as Sensor"),
        (None, Reward, r"got None as Reward"),
        (Crop, Sensor, r"got <class .*Crop'> as Sensor"),
        (Terminal(), Sensor, r"got Terminal\(\) as Sensor"),
    ],
)
def test_what_is_no_part_is_refused_with_the_nearest_name(value, base, message):
    with pytest.raises(ValueError, match=message):
        resolve(value, base)


def test_private_classes_are_not_offered():
    with pytest.raises(ValueError, match="known: ") as error:
        resolve("x", Sensor)
    assert "_" not in str(error.value).split("known: ")[1]


@pytest.mark.parametrize(("base", "part", "spec"), PARTS, ids=IDS)
def test_a_part_is_immutable_shared_by_copies_and_survives_pickle(base, part, spec):
    assert copy.deepcopy(part) is part
    again = pickle.loads(pickle.dumps(part))
    assert again == part and hash(again) == hash(part) and repr(again) == repr(part)
    with pytest.raises(FrozenInstanceError):
        part.size = 3


def test_a_pickled_part_of_ones_own_keeps_its_class():
    again = pickle.loads(pickle.dumps(Doubled(3.0)))
    assert type(again) is Doubled and again == Doubled(3.0)


# ---- in an EnvSpec ----

ENV_ID = "GlimpseMNIST-MultiCat-v0"
NAMED = {
    "dataset": "fashion_mnist",
    "scene": {"type": "ClutteredCanvas", "side": 50, "pieces": 2},
    "sensor": {"type": "Retina", "size": 6, "scales": 2},
    "scheme": {"type": "GreedyMap", "grid": 4},
    "reward": {"type": "Sum", "terms": ["Terminal", {"type": "GlimpseCost", "cost": 0.1}]},
    "budget": 5,
    "start": "centre",
}


def objects() -> list[tuple[str, object]]:
    images, labels = np.zeros((40, 28, 28, 1), np.uint8), np.arange(40) % 2
    return [
        ("dataset", ImageDataset.from_arrays(images, labels, images[:4], labels[:4])),
        ("scene", TranslatedCanvas(40)),
        ("sensor", Crop(6)),
        ("scheme", GreedyMap()),
        ("reward", Sum(("Terminal", GlimpseCost()))),
        ("reward", {"type": "Sum", "terms": ["Terminal", GlimpseCost()]}),
    ]


def test_a_spec_of_names_survives_json():
    env = gym.make(ENV_ID, **NAMED)
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert again.unwrapped.config == env.unwrapped.config
    for ours, theirs in zip(again.reset(seed=1), env.reset(seed=1), strict=True):
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", ["GlimpseCIFAR-Hybrid-v0", "GlimpseClutteredMNIST-GreedyMap-v0"])
def test_a_registered_spec_survives_json(name):
    text = gym.spec(name).to_json()
    assert json.loads(text)["max_episode_steps"] is None
    assert EnvSpec.from_json(text).kwargs == gym.spec(name).kwargs


@pytest.mark.parametrize(("name", "part"), objects(), ids=[repr(p)[:40] for _, p in objects()])
def test_a_spec_of_objects_refuses_to_become_json(name, part):
    env = gym.make(ENV_ID, **{name: part})
    with pytest.raises((ValueError, TypeError), match=r"by name|not JSON serializable"):
        env.spec.to_json()


@pytest.mark.parametrize(("name", "part"), objects(), ids=[repr(p)[:40] for _, p in objects()])
def test_a_copied_spec_shares_its_objects(name, part):
    spec = copy.deepcopy(gym.make(ENV_ID, **{name: part}).spec)
    ours = spec.kwargs[name]
    if isinstance(part, dict):
        ours, part = ours["terms"][1], part["terms"][1]
    assert ours is part
    gym.make(spec).reset()
