"""One network with three branches: a classifier, a policy and a value on a common trunk.

The report of the project's sources wants the agent and its classifier in one network of RLlib,
the classifier trained by cross-entropy and untouched by reinforcement learning.
"""

from __future__ import annotations

from typing import Any, Self

import torch as th
from gymnasium import spaces
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from stable_baselines3.common.utils import ConstantSchedule

from glimpse_lab.rllib.actions import action_parameters, distribution_of
from policies import GlimpsePolicy
from policies.classifier.model import N_TEMPERATURES, TorchClassifier, View
from policies.extractors.layers import BELIEF_FLOOR

#: in a module's output: the classifier branch, float32 (..., K)
CLASS_LOGITS = "class_logits"

#: memories that can be the trunk: those that give a hidden vector after every glimpse
TRUNKS = ("feedforward", "gru", "lstm", "canvas")

#: of the observation, what the environment's classifier made of the glimpses
_WATCHED = ("belief", "classifier_features")


class BranchedModule(TorchRLModule, ValueFunctionAPI):
    """Trunk and classifier branch, a ``TorchClassifier``; policy and value, a ``GlimpsePolicy``.

    Both are the classes that Stable-Baselines3 trains and plays in this package, so that a trained
    module is a run like any other (:mod:`glimpse_lab.rllib.training`).

    While an agent acts, the trunk is run once for each glimpse, by the environment, which shares
    the classifier with this module and carries its state in every lane: the observation has its
    hidden vector and belief, and no state passes through RLlib. In training the trunk is run over
    whole episodes, with gradients through time.

    The policy's and value's losses reach the trunk, unless ``cut_trunk``; they never reach the
    classifier branch, whose belief they read without its gradient.

    Settings, in ``model_config``: ``view`` (arguments of
    :class:`~policies.classifier.model.View`), ``classifier`` (``type``, one of ``TRUNKS``, and its
    settings), ``cut_trunk``, ``freeze_classifier`` (and the trunk) and ``policy_kwargs`` (of the
    ``GlimpsePolicy``).
    """

    def setup(self) -> None:
        """Make the networks."""
        settings = self.model_config
        trunk = dict(settings["classifier"])
        self.cut_trunk = bool(settings["cut_trunk"])
        self.classifier = TorchClassifier(View(**settings["view"]), trunk.pop("type"), **trunk)
        self.frozen = bool(settings["freeze_classifier"])
        self.classifier.requires_grad_(not self.frozen)
        vectors = vectors_of(self.observation_space)
        #: what runners send of an observation: what the learner reads
        self.needed = ("glimpse", *vectors, *(_WATCHED if self.frozen else ()))
        # its own optimiser stays unused: the learner has one for all branches
        self.agent = GlimpsePolicy(
            self.observation_space,
            self.action_space,
            ConstantSchedule(0.0),
            **settings["policy_kwargs"],
        )
        self.action_dist_cls = distribution_of(self.agent)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of policy and value; the classifier's normalisations stay as they are.

        Else an environment that shares it would read with statistics of the present lanes: RLlib
        sets the training mode after every step.
        """
        super().train(mode)
        self.classifier.eval()
        return self

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, th.Tensor]:
        """Return the actions' parameters from what the environment's classifier has seen.

        :param batch: ``obs``, of B lanes each
        """
        features = self.agent.extract_features(batch[Columns.OBS])
        return {Columns.ACTION_DIST_INPUTS: self._act(features)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return parameters and logits of whole episodes.

        :param batch: ``obs``: ``glimpse`` uint8 (n, T, h, w, C), ``gaze`` and others (n, T, ...)
        :return: actions' parameters (n, T, N), ``class_logits`` (n, T, K), of a frozen classifier
            the logarithms of its belief, and the features that ``compute_values`` takes as
            embeddings
        """
        features, logits = self._read(batch[Columns.OBS])
        return {
            Columns.ACTION_DIST_INPUTS: self._act(features).unflatten(0, logits.shape[:2]),
            Columns.EMBEDDINGS: features,
            CLASS_LOGITS: logits,
        }

    def compute_values(
        self, batch: dict[str, Any], embeddings: th.Tensor | None = None
    ) -> th.Tensor:
        """Return the values of whole episodes, float32 (n, T).

        :param batch: as of training
        :param embeddings: of the same batch; None to run the trunk
        """
        shown = batch[Columns.OBS]
        if embeddings is None:
            embeddings, _ = self._read(shown)
        values = self.agent.value_net(self.agent.mlp_extractor.forward_critic(embeddings))
        return values.reshape(shown["gaze"].shape[:2])

    def watch(self, shown: dict[str, th.Tensor]) -> tuple[th.Tensor, th.Tensor]:
        """Return trunk and classifier branch after every glimpse: (n, T, D) and (n, T, K).

        :param shown: ``glimpse`` and ``gaze`` of whole episodes
        """
        hidden = self.classifier.memory.outputs(shown["glimpse"], shown["gaze"])
        return hidden, self.classifier.readout(hidden)

    def _read(self, shown: dict[str, th.Tensor]) -> tuple[th.Tensor, th.Tensor]:
        """Return the features of n x T rows, cut from what the policy must not change, and logits.

        A frozen classifier would give what the environment has shown of it already.
        """
        if self.frozen:
            watched: dict[str, th.Tensor] = {}
            logits = shown["belief"].clamp(min=BELIEF_FLOOR).log()
        else:
            hidden, logits = self.watch(shown)
            hidden = hidden.detach() if self.cut_trunk else hidden
            steps = th.arange(logits.shape[1], device=logits.device).clamp(max=N_TEMPERATURES - 1)
            temperatures = self.classifier.temperatures[steps][:, None]
            belief = (logits.detach() / temperatures).softmax(dim=2)
            watched = {"belief": belief, "classifier_features": hidden}
        rows = {name: shown[name] for name in self.needed} | watched
        flat = {name: row.flatten(0, 1) for name, row in rows.items()}
        return self.agent.extract_features(flat), logits

    def _act(self, features: th.Tensor) -> th.Tensor:
        latent = self.agent.mlp_extractor.forward_actor(features)
        return action_parameters(self.agent, latent)


def vectors_of(space: spaces.Dict) -> tuple[str, ...]:
    """Return which vectors of an observation policy and value read beside the trunk.

    :param space: of one lane
    """
    return tuple(
        name for name, part in space.spaces.items() if name not in _WATCHED and len(part.shape) == 1
    )
