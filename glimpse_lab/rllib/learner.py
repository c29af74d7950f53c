"""Learning from whole episodes: PPO for policy and value, cross-entropy for the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch as th
from numpy.typing import NDArray
from ray.rllib.algorithms.ppo.ppo import LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.torch_utils import explained_variance
from torch.nn import functional as F

from glimpse_lab.rllib.module import CLASS_LOGITS

#: in a batch: true classes, int64 (n,), and which glimpses the classifier is trained on, (n, T)
LABELS, SEEN = "labels", "seen"


class BranchedLearner(PPOTorchLearner):
    """RLlib's PPO with the loss of the classifier branch added."""

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> th.Tensor:
        """Return PPO's loss plus ``classifier_coeff`` times the mean cross-entropy, a scalar."""
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        settings = config.learner_config_dict
        supervised = classifier_loss(
            fwd_out[CLASS_LOGITS],
            batch[LABELS],
            batch[SEEN],
            early_weight=settings["early_weight"],
            label_smoothing=settings["label_smoothing"],
        )
        self.metrics.log_value((module_id, "classifier_loss"), supervised.item(), window=1)
        explained = self._explained_variance(module_id, batch, fwd_out)
        self.metrics.log_value(
            (module_id, LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY), explained, window=1
        )
        return loss + settings["classifier_coeff"] * supervised

    def _explained_variance(
        self, module_id: str, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> th.Tensor:
        """Return the share of the returns' variance that the value explains, a scalar.

        RLlib's, which it stands in the place of, counts the zeros behind the episodes' ends.
        """
        module, mask = self.module[module_id].unwrapped(), batch[Columns.LOSS_MASK]
        with th.no_grad():
            values = module.compute_values(batch, embeddings=fwd_out[Columns.EMBEDDINGS])
            return explained_variance(batch[Postprocessing.VALUE_TARGETS][mask], values[mask])


def classifier_loss(
    logits: th.Tensor,
    labels: th.Tensor,
    seen: th.Tensor,
    *,
    early_weight: float = 1.0,
    label_smoothing: float = 0.0,
) -> th.Tensor:
    """Return the cross-entropy after every glimpse, nats: the mean over episodes.

    An episode's is weighted as :class:`~policies.classifier.trainer.Fitter` does.

    :param logits: float32 (n, T, K)
    :param labels: int64 (n,)
    :param seen: which of them count, the first ones of each row, bool (n, T)
    :param early_weight: of every glimpse but an episode's last, which has 1
    :param label_smoothing: share of the target spread over all classes
    """
    each = F.cross_entropy(
        logits.flatten(0, 1),
        labels[:, None].expand_as(seen).flatten(),
        reduction="none",
        label_smoothing=label_smoothing,
    )
    weights = early_weight * seen.float()
    weights[th.arange(len(seen), device=seen.device), seen.sum(dim=1) - 1] = 1.0
    weights = weights / weights.sum(dim=1, keepdim=True)
    return (each.view_as(weights) * weights).sum(dim=1).mean()


class WholeEpisodes(ConnectorV2):
    """Makes a batch of ended episodes: a row for each, zeros behind its end.

    Stands in the place of RLlib's connectors from episodes to batches, one for each column, which
    take most of an update's time on episodes so short.

    :param gamma: discount
    :param lambda_: of generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438)
    """

    def __init__(self, *args: Any, gamma: float, lambda_: float) -> None:
        super().__init__(*args)
        self.gamma, self.lambda_ = gamma, lambda_

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: Sequence[SingleAgentEpisode],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the batch, by the module's name."""
        # with several learners each module is in a wrapper that has no compute_values
        module = rl_module[DEFAULT_MODULE_ID].unwrapped()
        rows = _padded(episodes)
        device = next(module.parameters()).device
        tensors = _tensors(rows, device)
        with th.no_grad():
            values = module.compute_values(tensors).cpu().numpy()
        advantages = advantage(
            rows[Columns.REWARDS], values, rows[Columns.LOSS_MASK], self.gamma, self.lambda_
        )
        targets = advantages + values
        valid = advantages[rows[Columns.LOSS_MASK]]
        advantages = (advantages - valid.mean()) / max(1e-4, valid.std())
        made = {Postprocessing.ADVANTAGES: advantages, Postprocessing.VALUE_TARGETS: targets}
        return {DEFAULT_MODULE_ID: tensors | _tensors(made, device)}


def advantage(
    rewards: NDArray[np.float32],
    values: NDArray[np.float32],
    mask: NDArray[np.bool_],
    gamma: float,
    lambda_: float,
) -> NDArray[np.float32]:
    """Return the generalised advantages of whole episodes, float32 (n, T); 0 behind their ends.

    :param rewards: float32 (n, T)
    :param values: float32 (n, T)
    :param mask: which steps there are, bool (n, T)
    :param gamma: discount
    :param lambda_: of the estimation
    """
    advantages = np.zeros_like(rewards)
    after, value_after = np.zeros(len(rewards), np.float32), np.zeros(len(rewards), np.float32)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * value_after - values[:, t]
        after = np.where(mask[:, t], delta + gamma * lambda_ * after, 0.0)
        value_after = np.where(mask[:, t], values[:, t], 0.0)
        advantages[:, t] = after
    return advantages


def _padded(episodes: Sequence[SingleAgentEpisode]) -> dict[str, Any]:
    """Return the columns of episodes, (n, T, ...), T one more than the longest has steps."""
    n, lengths = len(episodes), np.array([len(episode) for episode in episodes])
    size = int(lengths.max()) + 1

    def pad(parts: list[NDArray]) -> NDArray:
        column = np.zeros((n, size, *parts[0].shape[1:]), parts[0].dtype)
        for row, part in zip(column, parts, strict=True):
            row[: len(part)] = part
        return column

    shown = [episode.observations.data for episode in episodes]
    known = [episode.extra_model_outputs for episode in episodes]
    ends = [episode.get_infos(-1) for episode in episodes]
    counts = np.array([end["n_glimpses"] for end in ends])
    return {
        Columns.OBS: {name: pad([each[name] for each in shown]) for name in shown[0]},
        Columns.ACTIONS: pad([episode.actions.data for episode in episodes]),
        Columns.REWARDS: pad([episode.rewards.data for episode in episodes]),
        **{name: pad([each[name].data for each in known]) for name in known[0]},
        Columns.LOSS_MASK: np.arange(size) < lengths[:, None],
        LABELS: np.array([end["label"] for end in ends]),
        SEEN: np.arange(size) < counts[:, None],
    }


def _tensors(columns: dict[str, Any], device: th.device) -> dict[str, Any]:
    return {
        name: _tensors(column, device)
        if isinstance(column, dict)
        else th.as_tensor(column, device=device)
        for name, column in columns.items()
    }
