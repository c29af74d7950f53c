"""What RLlib takes over of a recipe of PPO or RecurrentPPO; it needs no Ray."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_baselines3 import PPO

from glimpse_envs.components import nearest
from glimpse_lab.classifiers import COTRAINING, training_of
from glimpse_lab.config import RunConfig, resolve_config
from glimpse_lab.dotted import flatten
from glimpse_lab.kinds import GLIMPSE, kind_of
from glimpse_lab.recipes import RECIPES, RLLIB, RecipeError, find_recipe, load_recipe

#: where the recipe has no classifier
_TRUNK = {"type": "gru", "encoder": "mlp", "hidden_size": 128}

#: the classifier's learning rate falls to this share of itself in the pretraining
_HANDOVER = 0.1

_POLICY = "policies.GlimpsePolicy"

_KNOWN = (
    *("n_envs", "n_timesteps", "policy", "policy_kwargs", "callback"),
    *("n_steps", "batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda"),
    *("clip_range", "ent_coef", "vf_coef", "max_grad_norm"),
)

#: of policies with a memory, and of no GlimpsePolicy
_MEMORY = frozenset(
    {
        *("lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "lstm_kwargs"),
        "memory_tokens",
    }
)


def rllib_config(
    env_id: str,
    *,
    recipe: Path | None = None,
    seed: int = 0,
    dataset: str | None = None,
    trunk: Mapping[str, Any] | None = None,
    cut_trunk: bool = True,
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Return the configuration of a run that RLlib trains: the id's recipe, as far as it is.

    Taken over are the environment, the policy, PPO's hyperparameters and the classifier's
    pretraining. Beside the agent the classifier learns from each of its episodes as often as the
    agent does, by the learner's own optimiser, and from no others; where the recipe freezes it, it
    learns in the pretraining alone. The trunk is the memory: of a recipe of RecurrentPPO the LSTM
    or the memory tokens are left out, with the Vision Transformer beside these, and of a canvas its
    mirrored view, which would be a second hidden vector. What else trains beside the agent, such as
    an imitation, is left out.

    :param env_id: of a registered environment with glimpses
    :param recipe: a file, or a folder of them; None for those that come with this package
    :param seed: of everything
    :param dataset: a name; None for the environment's own
    :param trunk: ``type`` and settings; None for the recipe's classifier
    :param cut_trunk: let the trunk learn from the classifier's loss alone
    :param overrides: hyperparameters of the recipe by dotted keys
    :raises ValueError: for what does not fit, is not known, or what RLlib's training has no use for
    """
    if kind_of(env_id, importing=True) is not GLIMPSE:
        raise RecipeError(f"got environment {env_id}; wanted one with glimpses")
    place = recipe or RECIPES
    file = find_recipe(place, env_id, "ppo") if place.is_dir() else place
    _check_overrides(overrides or {})
    config = resolve_config(env_id, file, seed=seed, dataset=dataset, overrides=overrides)
    settings = dict(config.recipe)
    if file.stem == "ppo_lstm":
        settings |= _on_the_trunk(settings, load_recipe(file, env_id)["policy"])
    for key in settings:
        if key not in _KNOWN:
            raise RecipeError(f"RLlib's training has no {key!r}; {nearest(key, _KNOWN)}")
    if settings.get("policy") != _POLICY:
        raise RecipeError(
            f"got policy={settings.get('policy')!r}; wanted {_POLICY}, whose memory is the trunk"
        )
    training = {**(training_of(settings) or {}), "epochs": 0.0, "random_share": 0.0}
    if training.get("frozen"):
        if not cut_trunk:
            raise RecipeError(
                "got a frozen classifier, whose trunk does not learn, and cut_trunk=False: leave "
                "out --no-cut-trunk, or --set callback.CoTrainingCallback.frozen=false"
            )
    else:
        training["handover"] = _HANDOVER
    settings["callback"] = [{COTRAINING: training}]
    settings["rllib"] = {"cut_trunk": cut_trunk}
    classifier = dict(trunk or config.env_kwargs.get("classifier") or _TRUNK)
    if trunk is None:
        classifier.pop("mirror", None)
    env_kwargs = {
        **config.env_kwargs,
        "classifier": {"seed": seed, **classifier},
        "observe_classifier_features": True,
    }
    return replace(config, algorithm=RLLIB, recipe=settings, env_kwargs=env_kwargs)


def _check_overrides(overrides: Mapping[str, Any]) -> None:
    """Raise a RecipeError for settings that would be left out without a word."""
    for key, value in flatten(overrides).items():
        names = key.split(".")
        if names[0] == "policy_kwargs" and _MEMORY & set(names[1:2]):
            raise RecipeError(
                f"got {key}; RLlib's training has no memory beside the trunk (--trunk)"
            )
        if key == "env_kwargs.classifier.mirror" and value:
            raise RecipeError(
                f"got {key}={value}; wanted one hidden vector after a glimpse: leave it out"
            )


def _on_the_trunk(recipe: Mapping[str, Any], own: str) -> dict[str, Any]:
    """Return policy and arguments of a recipe of RecurrentPPO, without their memory.

    :param recipe: with overrides
    :param own: policy of the recipe before them
    """
    kwargs = recipe.get("policy_kwargs") or {}
    kwargs = {name: value for name, value in kwargs.items() if name not in _MEMORY}
    if own == "policies.GlimpseTokenPolicy":  # its extractor is that of another policy, too
        kwargs["features_extractor_kwargs"] = {"encoder": "none"}
    policy = recipe.get("policy")
    return {"policy": _POLICY if policy == own else policy, "policy_kwargs": kwargs}


def learner_arguments(config: RunConfig) -> dict[str, Any]:
    """Return arguments of :func:`glimpse_lab.rllib.config.ppo`, but those of the runners.

    Rollouts are as long and minibatches as large as in the recipe, counted in episodes of the whole
    budget.

    :param config: of :func:`rllib_config`
    """
    parameters = inspect.signature(PPO).parameters
    recipe = {key: parameters[key].default for key in _KNOWN if key in parameters} | config.recipe
    env_kwargs = dict(config.env_kwargs)
    return {
        "trunk": env_kwargs.pop("classifier"),
        "env_kwargs": env_kwargs,
        "cut_trunk": recipe["rllib"]["cut_trunk"],
        "freeze_classifier": bool((training_of(recipe) or {}).get("frozen")),
        "steps": recipe["n_envs"] * recipe["n_steps"],
        "minibatch_episodes": max(1, round(recipe["batch_size"] / env_kwargs["budget"])),
        "epochs": recipe["n_epochs"],
        "learning_rate": _pairs(recipe["learning_rate"], config.n_timesteps),
        "gamma": recipe["gamma"],
        "gae_lambda": recipe["gae_lambda"],
        "clip_range": recipe["clip_range"],
        "entropy_coeff": recipe["ent_coef"],
        "value_coeff": recipe["vf_coef"],
        "max_grad_norm": recipe["max_grad_norm"],
        "policy_kwargs": recipe["policy_kwargs"] or {},
        "seed": config.seed,
    }


def _pairs(rate: float | str, n_timesteps: int) -> float | list[list[float]]:
    """Return a learning rate as RLlib takes it: "lin_START" falls to 0."""
    if isinstance(rate, str):
        return [[0, float(rate.removeprefix("lin_"))], [n_timesteps, 0.0]]
    return rate
