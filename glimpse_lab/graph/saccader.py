"""The saccader: an agent that says where to crop next, trained by PPO."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import nn

from glimpse_envs.actions import Saccade
from glimpse_envs.core import Sequences
from glimpse_lab.graph.errors import GraphError
from glimpse_lab.graph.models import ModelModule
from glimpse_lab.graph.module import FitableModule, PointerModule
from glimpse_lab.graph.ports import Input, Output
from glimpse_lab.graph.recipe import saccade_recipe
from glimpse_lab.graph.rl import RLModule
from glimpse_lab.models import make_model
from policies.extractors.glimpse import NEEDED

_FRACTION = (np.ndarray, (), np.float32)


class PPOSaccader(RLModule, PointerModule, FitableModule):
    """An agent whose actions are the next fixation: it fills ``x`` and ``y``, both in [0, 1].

    It sees what is connected to its ports ``observation`` (any array, such as a layer of the
    classifier), ``glimpse``, ``gaze``, ``remaining``, ``belief`` and ``classifier_features``.

    :param model: a ``ModelModule`` that reads ``observation`` for actor and critic, trained by PPO;
        None for the recipe's network
    :param learn_fn: see :class:`~glimpse_lab.graph.rl.RLModule`
    :param settings: hyperparameters of Stable-Baselines3's PPO, in the place of those of the
        registered pipeline's recipe
    """

    observation_names = (
        "observation",
        "glimpse",
        "gaze",
        "remaining",
        "belief",
        "classifier_features",
    )

    glimpse = Input(np.ndarray, optional=True)
    gaze = Input(spaces.Box(0.0, 1.0, (3,), np.float32), optional=True)
    remaining = Input(spaces.Box(0.0, 1.0, (1,), np.float32), optional=True)
    belief = Input((np.ndarray, (None, None), np.float32), optional=True)
    classifier_features = Input((np.ndarray, (None, None), np.float32), optional=True)
    x = Output(_FRACTION)
    y = Output(_FRACTION)

    def __init__(
        self, model: ModelModule | None = None, *, learn_fn: Any = None, **settings: Any
    ) -> None:
        if model is not None and not isinstance(model, ModelModule):
            raise GraphError(
                f"got PPOSaccader({type(model).__name__}); wanted a ModelModule, as "
                "ModelModule(network)"
            )
        super().__init__(np.ndarray, Saccade().action_space(0), learn_fn=learn_fn)
        self.pointed, self.settings = model, settings

    def run_after(self) -> None:
        """Compute the fixation that the action stands for."""
        action = self["action"]
        fixation = Saccade.fixations(action, len(action))
        self["x"], self["y"] = fixation[:, 0], fixation[:, 1]

    def lane_space(self, name: str, value: NDArray) -> spaces.Space:
        """Return the space of one lane of an observation port."""
        if name == "belief":
            return spaces.Box(0.0, 1.0, value.shape[1:], np.float32)
        return super().lane_space(name, value)

    def make_agent(self, env: VecEnv, *, seed: int | None, device: str) -> BaseAlgorithm:
        """Return the untrained agent of Stable-Baselines3."""
        recipe = saccade_recipe()
        kwargs = dict(recipe["policy_kwargs"])
        keys = set(env.observation_space.spaces)
        if self.pointed is not None:
            if keys != {"observation"}:
                raise GraphError(
                    f"module {self.name}: got a model, which reads the port observation, and edges "
                    f"to {', '.join(sorted(keys))}; wanted one to observation alone"
                )
            kwargs["features_extractor_class"] = _Pointed
            kwargs["features_extractor_kwargs"] = {"network": self.pointed.network}
        elif not keys >= NEEDED or "observation" in keys:  # what the policy's own extractor reads
            kwargs["features_extractor_class"] = CombinedExtractor
            del kwargs["features_extractor_kwargs"]
        recipe = {**recipe, "policy_kwargs": kwargs, **self.settings}
        return make_model("ppo", recipe, env, seed=seed, device=device)

    def fit(self, batch: Sequences, scale: float = 1.0) -> Any:
        """Refuse: an agent learns from rewards, by ``graph.run``."""
        raise GraphError(f"module {self.name} learns from rewards: Graph(loop).run(n) trains it")


class _Pointed(BaseFeaturesExtractor):
    """Features by the network of a module.

    :param observation_space: with ``observation``
    :param network: from the observation to features
    """

    def __init__(self, observation_space: spaces.Dict, network: nn.Module) -> None:
        space = observation_space["observation"]
        # what is large enough for SB3's own networks comes with channels first already
        channels_last = is_image_space(space) and not is_image_space_channels_first(space)
        shown = th.zeros(1, *space.shape)
        with th.no_grad():
            features = network(_planes(shown) if channels_last else shown).flatten(1)
        super().__init__(observation_space, features_dim=features.shape[1])
        self.network, self.channels_last = network, channels_last

    def forward(self, observations: dict[str, th.Tensor]) -> th.Tensor:
        """Return float32 (B, features_dim)."""
        shown = observations["observation"]
        return self.network(_planes(shown) if self.channels_last else shown).flatten(1)


def _planes(pictures: th.Tensor) -> th.Tensor:
    """Return pictures (B, H, W, C) as (B, C, H, W)."""
    return pictures.permute(0, 3, 1, 2)
