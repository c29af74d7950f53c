"""Policies, extractors, distributions and callbacks from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from cases import Box, Case, check, refused, works
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from areas.environments import CANVAS, HYBRID, MAP, MULTI, make, vec
from glimpse_envs import BoxActions
from policies import (
    CACLA,
    CoTrainingCallback,
    EpsilonGreedy,
    GlimpseLstmPolicy,
    GlimpsePolicy,
    GlimpseTokenPolicy,
    HybridLstmPolicy,
    HybridPolicy,
    PackedSequences,
    TorchClassifier,
    ViTExtractor,
)
from policies.classifier.model import View

SHORT: dict[str, Any] = {"n_steps": 8, "batch_size": 16, "n_epochs": 1}
ViT = {"features_extractor_class": ViTExtractor}


def ppo(policy: Any, env: Any, algorithm: Any = PPO, **policy_kwargs: Any) -> Any:
    """Return an untrained model."""
    return algorithm(policy, env, policy_kwargs=policy_kwargs, device="cpu", seed=0, **SHORT)


def built(
    policy: Any, env_id: str = MULTI, algorithm: Any = PPO, **kwargs: Any
) -> Callable[[Box], Any]:
    """Return the making of a model."""
    return lambda box: ppo(policy, vec(env_id), algorithm, **kwargs)


def learnt(
    callback: Callable[[], Any],
    env_id: str = MULTI,
    policy: Any = GlimpsePolicy,
    algorithm: Any = PPO,
    **parts: Any,
) -> Callable[[Box], Any]:
    """Return a short training with a callback."""
    return lambda box: ppo(policy, vec(env_id, **parts), algorithm).learn(16, callback=callback())


def gated(gates: Any, policy: Any = HybridPolicy, algorithm: Any = PPO) -> Callable[[Box], Any]:
    """Return the making of a hybrid policy with gates."""
    return lambda box: ppo(policy, vec(HYBRID), algorithm, gates=gates)


def _acts(
    policy: Any,
    env_id: str,
    algorithm: Any = PPO,
    callback: Any = None,
    parts: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Callable[[Box], str]:
    """Return a check that a model learns and acts within its space."""

    def do(box: Box) -> str:
        env = vec(env_id, **(parts or {}))
        model = ppo(policy, env, algorithm, **kwargs).learn(32, callback=callback and callback())
        action, _ = model.predict(env.reset(), deterministic=True)
        finite = all(th.isfinite(p).all() for p in model.policy.parameters())
        inside = all(env.action_space.contains(each) for each in np.asarray(action))
        return check(
            finite and inside and model.num_timesteps >= 32, "finite weights, actions of the space"
        )

    return do


def _stacked(policy: Any) -> Callable[[Box], str]:
    """Return a check that a policy learns from stacked glimpses of 40 pixels."""

    def do(box: Box) -> str:
        env = VecFrameStack(vec(sensor={"type": "Crop", "size": 40}), 3)
        model = ppo(policy, env).learn(16)
        action, _ = model.predict(env.reset())
        return check(all(env.action_space.contains(a) for a in action), "actions of the space")

    return do


def _classifier(kind: Any = "canvas", **settings: Any) -> Callable[[Box], Any]:
    return lambda box: TorchClassifier(View.of(vec().config), kind, **settings)


NAN = float("nan")
_COTRAINING: dict[str, dict[str, Any]] = {
    "pretraining -1": {"pretraining": -1},
    "pretraining NaN": {"pretraining": NAN},
    "pretraining a text": {"pretraining": "many"},
    "pretraining None": {"pretraining": None},
    "epochs NaN": {"epochs": NAN},
    "epochs a text": {"epochs": "1"},
    "epochs inf": {"epochs": float("inf")},
    "random_share 1": {"random_share": 1.0},
    "random_share NaN": {"random_share": NAN},
    "batch_size 1": {"batch_size": 1},
    "batch_size 2.5": {"batch_size": 2.5},
    "batch_size a list": {"batch_size": [16]},
    "capacity 0": {"capacity": 0},
    "capacity -5": {"capacity": -5},
    "capacity 1.5": {"capacity": 1.5},
    "capacity a text": {"capacity": "all"},
    "handover -1": {"handover": -1.0},
    "handover 2": {"handover": 2.0},
    "handover NaN": {"handover": NAN},
    "gaze of another name": {"gaze": "Nowhere"},
    "gaze a number": {"gaze": 5},
    "gaze outside": {"gaze": {"type": "Fixed", "gazes": [[2, 2, 2]]}},
    "learning_rate NaN": {"learning_rate": NAN},
    "learning_rate -1": {"learning_rate": -1.0},
    "learning_rate a text": {"learning_rate": "fast"},
    "weight_decay -1": {"weight_decay": -1.0},
    "label_smoothing 1": {"label_smoothing": 1.0},
    "an unknown argument": {"speed": 3},
    "frozen a text": {"frozen": "no"},
}
_GATES: dict[str, Any] = {
    "a list": ["move"],
    "a text": "move",
    "of a part that is none": {"arm": {"decision": 0}},
    "by a part that is none": {"move": {"leg": 0}},
    "by a value that is none": {"move": {"decision": 2}},
    "by a negative value": {"move": {"decision": -1}},
    "by a text": {"move": {"decision": "go"}},
    "by a continuous part": {"class": {"zoom": 0}},
    "by itself": {"decision": {"decision": 0}},
    "in a circle": {"class": {"decision": 1}, "decision": {"class": 1}},
    "that are empty": {"move": {}},
    "that are numbers": {"move": 0},
    "with numbers as names": {0: {1: 2}},
}
_VIT: dict[str, dict[str, Any]] = {
    "patch 0": {"patch": 0},
    "patch 3": {"patch": 3},
    "patch a text": {"patch": "4"},
    "dim not divided by heads": {"dim": 10, "n_heads": 4},
    "dim 0": {"dim": 0},
    "n_heads 0": {"n_heads": 0},
    "n_blocks -1": {"n_blocks": -1},
    "n_blocks 0": {"n_blocks": 0},
    "n_frequencies -1": {"n_frequencies": -1},
    "stem of another name": {"stem": "cubic"},
    "tokens without a memory": {"tokens": "yes"},
    "an unknown argument": {"depth": 3},
}
_GLIMPSE: dict[str, dict[str, Any]] = {
    "encoder of another name": {"encoder": "resnet"},
    "encoder of torchvision that is none": {"encoder": "torchvision:resnet19"},
    "encoder a number": {"encoder": 3},
    "glimpse_dim 0": {"glimpse_dim": 0},
    "glimpse_dim -8": {"glimpse_dim": -8},
    "glimpse_dim 2.5": {"glimpse_dim": 2.5},
    "where_dim 0": {"where_dim": 0},
    "an unknown argument": {"colour": 1},
}

CASES: list[Case] = [
    *(
        refused(
            f"CoTrainingCallback: {name}",
            learnt(
                lambda a=arguments: CoTrainingCallback(
                    **{"pretraining": 32, "batch_size": 16, **a}
                ),
                classifier=CANVAS,
            ),
        )
        for name, arguments in _COTRAINING.items()
    ),
    *(refused(f"gates {name}", gated(gates)) for name, gates in _GATES.items()),
    *(
        refused(
            f"ViTExtractor: {name}", built(GlimpsePolicy, **ViT, features_extractor_kwargs=kwargs)
        )
        for name, kwargs in _VIT.items()
    ),
    *(
        refused(f"GlimpseExtractor: {name}", built(GlimpsePolicy, features_extractor_kwargs=kwargs))
        for name, kwargs in _GLIMPSE.items()
    ),
    *(
        refused(f"EpsilonGreedy: {name}", lambda box, a=arguments: EpsilonGreedy(**a))
        for name, arguments in {
            "initial 2": {"initial": 2.0},
            "final NaN": {"final": NAN},
            "fraction -1": {"fraction": -1.0},
            "initial a text": {"initial": "1"},
        }.items()
    ),
    refused("CACLA: weight NaN", lambda box: CACLA(weight=NAN)),
    refused("CACLA: weight -1", lambda box: CACLA(weight=-1.0)),
    refused("CACLA on discrete actions", learnt(CACLA)),
    refused("EpsilonGreedy on MultiDiscrete", learnt(EpsilonGreedy)),
    refused("EpsilonGreedy with SB3's policy", learnt(EpsilonGreedy, MAP, "MultiInputPolicy")),
    refused("PackedSequences with PPO", learnt(PackedSequences)),
    refused("CoTrainingCallback without a classifier", learnt(CoTrainingCallback)),
    refused(
        "CoTrainingCallback on CartPole",
        lambda box: PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8).learn(
            8, callback=CoTrainingCallback(pretraining=0)
        ),
    ),
    refused(
        "CoTrainingCallback on DummyVecEnv of classifiers of their own",
        lambda box: ppo(GlimpsePolicy, DummyVecEnv([lambda: make(classifier=CANVAS)] * 2)).learn(
            16, callback=CoTrainingCallback(pretraining=0)
        ),
    ),
    refused("GlimpsePolicy on CartPole", lambda box: PPO(GlimpsePolicy, "CartPole-v1")),
    refused("GlimpseLstmPolicy with PPO", lambda box: ppo(GlimpseLstmPolicy, vec()).learn(16)),
    refused("GlimpsePolicy with RecurrentPPO", built(GlimpsePolicy, algorithm=RecurrentPPO)),
    refused("GlimpsePolicy with DQN", lambda box: DQN(GlimpsePolicy, vec(MAP))),
    refused(
        "GlimpseLstmPolicy: lstm_hidden_size 0",
        built(GlimpseLstmPolicy, algorithm=RecurrentPPO, lstm_hidden_size=0),
    ),
    refused(
        "GlimpseLstmPolicy: lstm_hidden_size 2.5",
        built(GlimpseLstmPolicy, algorithm=RecurrentPPO, lstm_hidden_size=2.5),
    ),
    refused(
        "GlimpseTokenPolicy: 0 tokens",
        built(GlimpseTokenPolicy, algorithm=RecurrentPPO, memory_tokens=0),
    ),
    refused(
        "GlimpsePolicy: initial_stop_probability 1",
        built(GlimpsePolicy, initial_stop_probability=1.0),
    ),
    refused(
        "GlimpsePolicy: initial_stop_probability NaN",
        built(GlimpsePolicy, initial_stop_probability=NAN),
    ),
    refused(
        "GlimpsePolicy: initial_stop_probability a text",
        built(GlimpsePolicy, initial_stop_probability="half"),
    ),
    refused(
        "GlimpsePolicy: entropy_weights of no part",
        built(GlimpsePolicy, entropy_weights={"arm": 1.0}),
    ),
    refused(
        "GlimpsePolicy: entropy_weights NaN", built(GlimpsePolicy, entropy_weights={"class": NAN})
    ),
    refused("GlimpsePolicy: entropy_weights a text", built(GlimpsePolicy, entropy_weights="class")),
    refused(
        "GlimpsePolicy: entropy_weights -1", built(GlimpsePolicy, entropy_weights={"class": -1.0})
    ),
    refused("HybridPolicy on Discrete actions", built(HybridPolicy, MAP)),
    refused("HybridPolicy: log_std_init NaN", built(HybridPolicy, HYBRID, log_std_init=NAN)),
    refused("HybridPolicy: use_sde", built(HybridPolicy, HYBRID, use_sde=True)),
    refused("classifier: of another kind", _classifier("rnn")),
    refused("classifier: width 0", _classifier(width=0)),
    refused("classifier: width 10^9", _classifier(width=10**9)),
    refused("classifier: seed -1", _classifier(seed=-1)),
    refused("classifier: seed a text", _classifier(seed="x")),
    refused("classifier: gru of hidden size 0", _classifier("gru", hidden_size=0)),
    refused(
        "classifier: glimpses of another size",
        lambda box: (
            lambda c: c.update(
                c.start(1), np.zeros((1, 5, 5, 1), np.uint8), np.zeros((1, 3), np.float32)
            )
        )(_classifier(width=4)(box)),
    ),
    works("GlimpsePolicy, MultiCat", _acts(GlimpsePolicy, MULTI)),
    works(
        "GlimpsePolicy, GreedyMap with EpsilonGreedy",
        _acts(GlimpsePolicy, MAP, callback=EpsilonGreedy),
    ),
    works(
        "GlimpseLstmPolicy, Hybrid with PackedSequences",
        _acts(GlimpseLstmPolicy, HYBRID, RecurrentPPO, PackedSequences),
    ),
    works("GlimpseTokenPolicy", _acts(GlimpseTokenPolicy, MULTI, RecurrentPPO)),
    works(
        "ViTExtractor with a history",
        _acts(GlimpsePolicy, MULTI, parts={"observe_history": True, "budget": 3}, **ViT),
    ),
    works(
        "HybridLstmPolicy with gates",
        _acts(HybridLstmPolicy, HYBRID, RecurrentPPO, gates={"move": {"decision": 0}}),
    ),
    works(
        "HybridPolicy on BoxActions in a DummyVecEnv",
        lambda box: check(
            PPO(
                HybridPolicy,
                DummyVecEnv([lambda: BoxActions(gym.wrappers.FlattenObservation(make(HYBRID)))]),
                **SHORT,
            )
            .learn(16)
            .num_timesteps
            == 16,
            "16 timesteps",
        ),
    ),
    works("MultiInputPolicy on a VecFrameStack", _stacked("MultiInputPolicy")),
    refused("GlimpsePolicy on a VecFrameStack", _stacked(GlimpsePolicy)),
    works(
        "a classifier co-trained",
        _acts(
            GlimpsePolicy,
            MULTI,
            callback=lambda: CoTrainingCallback(pretraining=32, batch_size=16),
            parts={"classifier": CANVAS},
        ),
    ),
]
