"""The configuration of RLlib's PPO for a registered environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from stable_baselines3 import PPO

from glimpse_envs.config import make_config
from glimpse_lab.kinds import GLIMPSE, kind_of
from glimpse_lab.models import policy_arguments
from glimpse_lab.rllib.learner import BranchedLearner, WholeEpisodes
from glimpse_lab.rllib.module import TRUNKS, BranchedModule
from glimpse_lab.rllib.runner import LanesRunner
from policies import GlimpsePolicy
from policies.classifier.model import View


def ppo(
    env_id: str,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    trunk: Mapping[str, Any] | None = None,
    cut_trunk: bool = False,
    freeze_classifier: bool = False,
    n_runners: int = 0,
    n_lanes: int = 64,
    steps: int = 4096,
    minibatch_episodes: int = 128,
    epochs: int = 4,
    learning_rate: float | Sequence[Sequence[float]] = 1e-3,
    gamma: float = 1.0,
    gae_lambda: float = 0.95,
    clip_range: float = 0.2,
    entropy_coeff: float = 0.01,
    value_coeff: float = 0.5,
    classifier_coeff: float = 1.0,
    early_weight: float = 0.25,
    label_smoothing: float = 0.1,
    max_grad_norm: float = 0.5,
    policy_kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> PPOConfig:
    """Return a configuration; ``.build_algo()`` makes the algorithm, ``.train()`` an update of it.

    Example::

        algorithm = ppo("GlimpseDigits-MultiCat-v0", n_runners=2).build_algo()
        for _ in range(100):
            print(algorithm.train()["env_runners"]["accuracy"])

    :param env_id: of a registered environment with glimpses
    :param env_kwargs: its arguments, but ``classifier``, which is the module's
    :param trunk: ``type``, one of ``feedforward``, ``gru``, ``lstm`` and ``canvas``, and its
        settings
    :param cut_trunk: let the trunk learn from the classifier's loss alone
    :param freeze_classifier: neither it nor the trunk learns, which needs ``cut_trunk``
    :param n_runners: processes that step lanes; 0: the learner's own does
    :param n_lanes: of each runner
    :param steps: of all lanes together for an update
    :param minibatch_episodes: episodes of a minibatch
    :param epochs: passes over the batch in an update
    :param learning_rate: of Adam, for all branches; (timesteps, value) pairs for one that changes
        linearly from pair to pair
    :param gamma: discount
    :param gae_lambda: of the advantages
    :param clip_range: of PPO
    :param entropy_coeff: weight of the entropy
    :param value_coeff: weight of the value's loss
    :param classifier_coeff: weight of the classifier's loss
    :param early_weight: in the classifier's loss, of every glimpse but an episode's last
    :param label_smoothing: share of the target spread over all classes
    :param max_grad_norm: gradients are clipped to this norm
    :param policy_kwargs: of the :class:`~policies.GlimpsePolicy` that holds policy and value, as a
        recipe gives them; None: it sees the glimpse through the trunk alone
    :param seed: of everything
    :raises ValueError: for an environment without glimpses, a trunk of another type, or settings
        that exclude each other
    """
    kind = kind_of(env_id, importing=True)
    if kind is not GLIMPSE:
        raise ValueError(f"got environment {env_id}; wanted one with glimpses")
    trunk = {"type": "gru"} if trunk is None else dict(trunk)
    if trunk.get("type") not in TRUNKS:
        raise ValueError(f"got trunk {trunk}; wanted a type of {', '.join(TRUNKS)}")
    if trunk.get("mirror"):
        raise ValueError("got a trunk with mirror=True; wanted one hidden vector after a glimpse")
    if freeze_classifier and not cut_trunk:
        raise ValueError("got freeze_classifier and cut_trunk=False; wanted the trunk cut, too")
    if policy_kwargs is None:
        policy_kwargs = {"features_extractor_kwargs": {"encoder": "none"}}
    if not policy_kwargs.get("share_features_extractor", True):
        raise ValueError("got share_features_extractor=False; wanted one extractor for both")
    if "classifier" in (env_kwargs or {}):
        raise ValueError("got env_kwargs with a classifier; wanted it as trunk=")
    kwargs = {
        **(env_kwargs or {}),
        "classifier": trunk,
        "observe_classifier_features": True,
    }
    view = View.of(make_config(**{**kind.registered_kwargs(env_id), **kwargs}))
    model = {
        "view": asdict(view),
        "classifier": {"seed": seed, **trunk},
        "cut_trunk": cut_trunk,
        "freeze_classifier": freeze_classifier,
        "policy_kwargs": policy_arguments(PPO, GlimpsePolicy, dict(policy_kwargs)),
    }
    return (
        PPOConfig()
        .environment(env_id, env_config=kwargs)
        .framework("torch")
        .env_runners(
            env_runner_cls=LanesRunner,
            num_env_runners=n_runners,
            num_envs_per_env_runner=n_lanes,
            rollout_fragment_length="auto",
        )
        .learners(
            num_learners=0,
            learner_class=BranchedLearner,
            learner_connector=partial(WholeEpisodes, gamma=gamma, lambda_=gae_lambda),
            add_default_connectors_to_learner_pipeline=False,
            learner_config_dict={
                "classifier_coeff": classifier_coeff,
                "early_weight": early_weight,
                "label_smoothing": label_smoothing,
            },
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=BranchedModule, model_config=model))
        .training(
            train_batch_size_per_learner=steps,
            minibatch_size=minibatch_episodes,
            num_epochs=epochs,
            lr=learning_rate,
            gamma=gamma,
            lambda_=gae_lambda,
            clip_param=clip_range,
            entropy_coeff=entropy_coeff,
            vf_loss_coeff=value_coeff,
            vf_clip_param=float("inf"),
            use_kl_loss=False,
            grad_clip=max_grad_norm,
            grad_clip_by="global_norm",
        )
        .fault_tolerance(restart_failed_env_runners=True)
        .debugging(seed=seed)
    )
