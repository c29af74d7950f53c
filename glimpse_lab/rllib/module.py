"""One network with three branches: a classifier, a policy and a value on a common trunk.

The report of the project's sources wants the agent and its classifier in one network of RLlib,
the classifier trained by cross-entropy and untouched by reinforcement learning.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import torch as th
from gymnasium import spaces
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from glimpse_lab.rllib.actions import ActionHead
from policies.classifier.model import TorchClassifier, View
from policies.extractors.layers import BypassLayout

#: in a module's output: the classifier branch, float32 (..., K)
CLASS_LOGITS = "class_logits"

#: memories that can be the trunk: those that give a hidden vector after every glimpse
TRUNKS = ("feedforward", "gru", "lstm")

#: of the observation, what the environment's classifier made of the glimpses
_WATCHED = ("belief", "classifier_features")


class _Features(NamedTuple):
    """What the branches of policy and value read of n rows.

    :ivar latent: float32 (n, F)
    :ivar bypass: float32 (n, bypass.dim)
    """

    latent: th.Tensor
    bypass: th.Tensor


class BranchedModule(TorchRLModule, ValueFunctionAPI):
    """Trunk and classifier branch, which are a ``TorchClassifier``; policy and value branch.

    While an agent acts, the trunk is run once for each glimpse, by the environment, which shares
    the classifier with this module and carries its state in every lane: the observation has its
    hidden vector and belief, and no state passes through RLlib. In training the trunk is run over
    whole episodes, with gradients through time.

    The policy's and value's losses reach the trunk, unless ``cut_trunk``; they never reach the
    classifier branch, whose belief they read without its gradient.

    Settings, in ``model_config``: ``view`` (arguments of
    :class:`~policies.classifier.model.View`), ``classifier`` (``type``, one of ``TRUNKS``, and its
    settings), ``cut_trunk``, ``hiddens`` (sizes of the layers of policy and value branch) and
    ``log_std``.
    """

    def setup(self) -> None:
        """Make the networks."""
        settings = self.model_config
        trunk = dict(settings["classifier"])
        self.cut_trunk = bool(settings["cut_trunk"])
        self.classifier = TorchClassifier(View(**settings["view"]), trunk.pop("type"), **trunk)
        self.vectors = vectors_of(self.observation_space)
        self.bypass = BypassLayout(n_belief=self.classifier.n_classes)
        dim = self.classifier.hidden_size
        dim += sum(self.observation_space[name].shape[0] for name in self.vectors)
        self.policy = _layers(dim, settings["hiddens"])
        self.value = _layers(dim, settings["hiddens"])
        last = ([dim, *settings["hiddens"]])[-1]
        self.head = ActionHead(last, self.action_space, self.bypass, settings["log_std"])
        self.value_head = nn.Linear(last + self.bypass.summary_dim, 1)
        self.action_dist_cls = self.head.distribution_class

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, th.Tensor]:
        """Return the actions' parameters from what the environment's classifier has seen.

        :param batch: ``obs``, of B lanes each
        """
        seen = batch[Columns.OBS]
        features = self._join(seen["classifier_features"], seen["belief"], seen)
        return {Columns.ACTION_DIST_INPUTS: self._act(features)}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return parameters and logits of whole episodes.

        :param batch: ``obs``: ``glimpse`` uint8 (n, T, h, w, C), ``gaze`` and others (n, T, ...)
        :return: actions' parameters (n, T, N), ``class_logits`` (n, T, K), and the features that
            ``compute_values`` takes as embeddings
        """
        hidden, logits = self.watch(batch[Columns.OBS])
        features = self._features(hidden, logits, batch[Columns.OBS])
        lead = hidden.shape[:2]
        return {
            Columns.ACTION_DIST_INPUTS: self._act(features).unflatten(0, lead),
            Columns.EMBEDDINGS: features,
            CLASS_LOGITS: logits,
        }

    def compute_values(
        self, batch: dict[str, Any], embeddings: _Features | None = None
    ) -> th.Tensor:
        """Return the values of whole episodes, float32 (n, T).

        :param batch: as of training
        :param embeddings: of the same batch; None to run the trunk
        """
        shown = batch[Columns.OBS]
        if embeddings is None:
            embeddings = self._features(*self.watch(shown), shown)
        summary = self.bypass.summary(embeddings.bypass)
        code = self.value(embeddings.latent)
        values = self.value_head(th.cat([code, summary], dim=1))
        return values.reshape(shown["gaze"].shape[:2])

    def watch(self, shown: dict[str, th.Tensor]) -> tuple[th.Tensor, th.Tensor]:
        """Return trunk and classifier branch after every glimpse: (n, T, D) and (n, T, K).

        :param shown: ``glimpse`` and ``gaze`` of whole episodes
        """
        hidden = self.classifier.memory.outputs(shown["glimpse"], shown["gaze"])
        return hidden, self.classifier.readout(hidden)

    def _features(
        self, hidden: th.Tensor, logits: th.Tensor, shown: dict[str, th.Tensor]
    ) -> _Features:
        """Return the features of n x T rows, cut from what the policy must not change."""
        belief = logits.detach().softmax(dim=2).flatten(0, 1)
        hidden = hidden.detach() if self.cut_trunk else hidden
        rows = {name: shown[name].flatten(0, 1) for name in (*self.vectors, "remaining")}
        return self._join(hidden.flatten(0, 1), belief, rows)

    def _join(self, hidden: th.Tensor, belief: th.Tensor, rows: dict[str, th.Tensor]) -> _Features:
        latent = th.cat([hidden, *(rows[name] for name in self.vectors)], dim=1)
        return _Features(latent, self.bypass.make(rows["remaining"], belief))

    def _act(self, features: _Features) -> th.Tensor:
        return self.head(self.policy(features.latent), features.bypass)


def vectors_of(space: spaces.Dict) -> tuple[str, ...]:
    """Return which vectors of an observation policy and value read beside the trunk.

    :param space: of one lane
    """
    return tuple(
        name for name, part in space.spaces.items() if name not in _WATCHED and len(part.shape) == 1
    )


def _layers(dim: int, hiddens: list[int]) -> nn.Sequential:
    pairs = pairwise([dim, *hiddens])
    return nn.Sequential(*(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.Tanh())))
