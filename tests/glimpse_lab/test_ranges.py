"""Types of signatures, ranges of one table."""

import inspect
from typing import Any

import pytest
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO

import policies
from glimpse_envs.config import GlimpseConfig
from glimpse_lab.integrations.tensorboard import ScanpathImages
from glimpse_lab.ranges import RANGES, argument_types, checked
from policies.classifier.memory import MEMORIES
from policies.classifier.trainer import Fitter

OWNERS = [
    *(PPO, RecurrentPPO, GlimpseConfig, Fitter, ScanpathImages, *MEMORIES.values()),
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
