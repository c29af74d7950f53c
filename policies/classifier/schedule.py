"""How often, and how strongly, a classifier is updated between the agent's rollouts."""

from __future__ import annotations


class UpdateSchedule:
    """Updates in proportion to the agent's new episodes, at a learning rate that falls to 0.

    Episodes that ask for a part of an update wait for the next rollout.

    :param epochs: how often each episode of the agent is used, on average
    :param n_own: the agent's episodes in one update
    :param handover: share of the learning rate at the beginning of the agent's training
    :param n_counted: the agent's episodes before, which ask for no update
    :ivar scale: share of the learning rate for the updates after the present rollout
    """

    def __init__(self, epochs: float, n_own: int, handover: float, n_counted: int = 0) -> None:
        self.epochs, self.n_own, self.handover = epochs, n_own, handover
        self.scale = handover
        self._n_counted = n_counted
        self._due = 0.0

    def begin_rollout(self, progress: float) -> None:
        """Set the scale.

        :param progress: share of the agent's training that is done, in [0, 1]
        """
        self.scale = self.handover * max(0.0, 1.0 - progress)

    def take(self, n_episodes: int) -> int:
        """Return how many updates are due, which the caller then makes.

        :param n_episodes: of the agent, so far
        """
        self._due += self.epochs * (n_episodes - self._n_counted) / self.n_own
        self._n_counted = n_episodes
        n_updates = int(self._due)
        self._due %= 1.0
        return n_updates
