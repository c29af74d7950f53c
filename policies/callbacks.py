"""Callbacks of training."""

from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback

from policies.buffers import PackedRecurrentDictRolloutBuffer
from policies.recurrent import GlimpseLstmPolicy


class PackedSequences(BaseCallback):
    """
    Train RecurrentPPO without padding: the same losses, sooner.

    Puts a :class:`~policies.buffers.PackedRecurrentDictRolloutBuffer` in the place of the model's
    buffer when training starts.
    """

    def _on_training_start(self) -> None:
        model = self.model
        stock = getattr(model, "rollout_buffer", None)
        if isinstance(stock, PackedRecurrentDictRolloutBuffer):
            return
        if not isinstance(stock, RecurrentDictRolloutBuffer) or not isinstance(
            model.policy, GlimpseLstmPolicy
        ):
            raise ValueError(
                f"PackedSequences got {type(model).__name__} with {type(model.policy).__name__}, "
                "wanted RecurrentPPO with GlimpseLstmPolicy; drop the callback or use these"
            )
        model.rollout_buffer = PackedRecurrentDictRolloutBuffer(
            stock.buffer_size,
            stock.observation_space,
            stock.action_space,
            stock.hidden_state_shape,
            device=stock.device,
            gae_lambda=stock.gae_lambda,
            gamma=stock.gamma,
            n_envs=stock.n_envs,
        )

    def _on_step(self) -> bool:
        return True
