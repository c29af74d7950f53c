"""Recipes in rl_zoo3's spelling, read and never run."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from glimpse_envs.sb3 import GlimpseVecEnv
from glimpse_lab.config import resolve_config
from glimpse_lab.models import make_model
from glimpse_lab.recipes import load_recipe, parse_settings
from glimpse_lab.spellings import respelled

ZOO = """
GlimpseDigits-MultiCat-v0:
  normalize: false
  frame_stack: 1
  env_wrapper: null
  n_envs: 4
  n_timesteps: !!float 1e3
  policy: 'MultiInputPolicy'
  n_steps: 8
  batch_size: 16
  n_epochs: 1
  learning_rate: 3e-4
  clip_range: lin_0.2
  ent_coef: 1e-2
  env_kwargs: "{'budget': 3, 'sensor': {'type': 'Crop', 'size': 8}}"
  policy_kwargs: "dict(net_arch=dict(pi=[32], vf=[16, 16]), activation_fn=nn.ELU,
    features_extractor_class=None)"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "ppo.yml").write_text(ZOO.replace(",\n    features_extractor_class=None", ""))
    return tmp_path / "ppo.yml"


def test_a_recipe_of_rl_zoo3_is_read(file: Path) -> None:
    recipe = load_recipe(file, "GlimpseDigits-MultiCat-v0")
    assert recipe["learning_rate"] == 3e-4 and recipe["ent_coef"] == 0.01
    assert recipe["env_kwargs"] == {"budget": 3, "sensor": {"type": "Crop", "size": 8}}
    assert recipe["policy_kwargs"] == {
        "net_arch": {"pi": [32], "vf": [16, 16]},
        "activation_fn": "nn.ELU",
    }
    assert not recipe.keys() & {"normalize", "frame_stack", "env_wrapper"}
    config = resolve_config(
        "GlimpseDigits-MultiCat-v0", file, overrides={"env_kwargs.budget": 4, "gamma": 0.9}
    )
    assert config.env_kwargs["budget"] == 4 and config.recipe["gamma"] == 0.9


def test_the_model_is_the_one_that_is_described(file: Path) -> None:
    recipe = {**load_recipe(file, "GlimpseDigits-MultiCat-v0"), "policy": "policies.GlimpsePolicy"}
    env = GlimpseVecEnv("GlimpseDigits-MultiCat-v0", 4, **recipe["env_kwargs"])
    model = make_model("ppo", recipe, env, seed=0, device="cpu")
    widths = [m.out_features for m in model.policy.mlp_extractor.modules() if hasattr(m, "weight")]
    assert sorted(widths) == [16, 16, 32] and model.lr_schedule(1.0) == 3e-4
    assert any(isinstance(m, nn.ELU) for m in model.policy.mlp_extractor.modules())


def test_texts_that_only_look_like_numbers_stay() -> None:
    words = {"a": "e5", "b": "nan", "c": "inf", "d": "1e", "e": "lin_3e-4", "f": "0x1e3"}
    assert respelled(words) == words
    assert respelled({"a": ["3e-4", {"b": "-1.5E+3"}]}) == {"a": [3e-4, {"b": -1500.0}]}
    assert parse_settings(["a=3e-4", "b=dict(c=[1, 2])"]) == {"a": 3e-4, "b": {"c": [1, 2]}}


@pytest.mark.parametrize(
    "text",
    [
        "dict(a=__import__('os').getcwd())",
        "dict(a=open('x'))",
        "dict(**{'a': 1})",
        "dict([('a', 1)])",
        "dict(a=x)",
        "dict(a=th.nn.ReLU)",
        "{'a': (lambda: 1)()}",
        "{**{'a': 1}}",
        "[x for x in (1, 2)]",
        "dict(a=1",
        "dict(" * 300 + ")" * 300,
    ],
)
def test_a_text_that_would_have_to_be_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="never run"):
        respelled({"policy_kwargs": text})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("normalize", True),
        ("normalize", "dict(norm_obs=False, norm_reward=True)"),
        ("frame_stack", 4),
        ("env_wrapper", "gymnasium.wrappers.FlattenObservation"),
        ("vec_env_wrapper", [{"a": {}}]),
        ("monitor_kwargs", {"a": 1}),
    ],
)
def test_what_is_not_supported_is_said_in_a_sentence(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{key}=.* is not supported: .*; leave it out"):
        respelled({key: value})
