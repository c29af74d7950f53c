"""Types of signatures, ranges of one table."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

import policies
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.integrations.tensorboard import ScanpathImages
from policies import CACLA, CoTrainingCallback, EpsilonGreedy, GlimpsePolicy
from policies.classifier.memory import MEMORIES
from policies.classifier.trainer import Fitter
from policies.inverse import WordEncoder
from policies.ranges import RANGES, argument_types, checked, checks_arguments

OWNERS = [
    *(PPO, RecurrentPPO, GlimpseConfig, Fitter, ScanpathImages, *MEMORIES.values(), WordEncoder),
    *(getattr(policies, name) for name in policies.__all__),
]


def test_the_table_knows_every_default_and_nothing_else() -> None:
    used = {"n_envs", "n_timesteps"}
    for owner in OWNERS:
        hints = argument_types(owner)
        for name, parameter in inspect.signature(owner).parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                checked({name: parameter.default}, hints)
        used |= hints.keys()
    assert set(RANGES) <= used


@pytest.mark.parametrize("owner", [PPO, RecurrentPPO, Fitter, policies.CoTrainingCallback])
def test_every_number_has_a_range(owner: type) -> None:
    for name, hint in argument_types(owner).items():
        if hint in (int, float) and name not in ("verbose", "seed"):
            assert name in RANGES


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("gamma", 1.01, "at most 1"),
        ("gamma", float("nan"), "a number"),
        ("gamma", True, "a number"),
        ("n_steps", 3.5, "an integer, at least 1"),
        ("n_steps", float("inf"), "an integer"),
        ("n_steps", "8", "an integer"),
        ("normalize_advantage", "abc", "true or false"),
        ("normalize_advantage", 1, "true or false"),
        ("target_kl", -1, "a number or null"),
        ("policy_kwargs", 5, "a mapping or null"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_wanted(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(ValueError, match=f"got x: {name}=.*; wanted .*{wanted}"):
        checked({name: value}, argument_types(PPO), "x: ")


def test_whole_numbers_become_integers_and_the_rest_stays() -> None:
    values = {"n_steps": 32.0, "gamma": 1, "target_kl": None, "own": object()}
    result = checked(values, argument_types(PPO))
    assert result == values and type(result["n_steps"]) is int and type(result["gamma"]) is int


@checks_arguments
def function(n: int, share: float = 0.5, *rest: Any, place: str | Path = "x", **more: Any) -> Any:
    return n, share, rest, place, more


def test_a_function_gets_what_fits() -> None:
    assert function(np.int64(3), np.float32(0.5), 7, place=Path("y"), z=1) == (
        *(3, 0.5, (7,), Path("y")),
        {"z": 1},
    )
    assert type(function(np.int64(3))[0]) is int


def test_an_argument_that_is_not_known_is_named_with_what_is() -> None:
    @checks_arguments
    def scale(image: str, factor: float = 1.0) -> None: ...

    with pytest.raises(TypeError, match=r"unexpected keyword.*'factr'; did you mean 'factor'\?"):
        scale("x", factr=2.0)
    with pytest.raises(TypeError, match=r"missing a required argument: 'image'$"):
        scale()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": "3"}, "got function: n='3'; wanted an integer"),
        ({"n": True}, "wanted an integer"),
        ({"n": 2.5}, "wanted an integer"),
        ({"n": 1, "share": float("nan")}, "wanted a number"),
        ({"n": 1, "place": 5}, "got function: place=5; wanted a text or Path"),
        ({"n": 1, "place": None}, "wanted a text or Path"),
    ],
)
def test_a_function_refuses_the_rest(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**arguments)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (CoTrainingCallback, {"handover": 2.0}),
        (CoTrainingCallback, {"capacity": 1.5}),
        (CoTrainingCallback, {"pretraining": "many"}),
        (CoTrainingCallback, {"frozen": "no"}),
        (CoTrainingCallback, {"weight_decay": -1.0}),
        (CACLA, {"weight": float("nan")}),
        (EpsilonGreedy, {"initial": "1"}),
    ],
)
def test_callbacks_made_in_python_are_checked_as_those_of_recipes(
    cls: type, arguments: dict[str, Any]
) -> None:
    (name,) = arguments
    with pytest.raises(ValueError, match=f"got {cls.__name__}: {name}="):
        cls(**arguments)


@pytest.mark.parametrize(
    ("policy", "kwargs"),
    [
        (GlimpsePolicy, {"initial_stop_probability": "half"}),
        (GlimpsePolicy, {"entropy_weights": {"class": float("nan")}}),
        (GlimpsePolicy, {"log_std_init": float("nan")}),
        (GlimpsePolicy, {"features_extractor_kwargs": {"glimpse_dim": 0}}),
        (GlimpsePolicy, {"gates": ["move"]}),
    ],
)
def test_policies_made_in_python_are_checked_as_those_of_recipes(
    policy: type, kwargs: dict[str, Any]
) -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    with pytest.raises(ValueError, match="wanted"):
        PPO(policy, env, policy_kwargs=kwargs, n_steps=8, batch_size=16)


def test_a_policy_says_that_the_algorithm_is_another_s() -> None:
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 2, seed=0)
    with pytest.raises(ValueError, match="GlimpsePolicy is no policy for RecurrentPPO"):
        RecurrentPPO(GlimpsePolicy, env, n_steps=8, batch_size=16)
