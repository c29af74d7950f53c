"""Action schemes: from the agent's action to the next gaze and, perhaps, an answer."""

from glimpse_envs.actions.anywhere import Anywhere
from glimpse_envs.actions.greedy_map import GreedyMap
from glimpse_envs.actions.hybrid import Hybrid
from glimpse_envs.actions.multi_categorical import MultiCategorical
from glimpse_envs.actions.pursuit import Pursuit
from glimpse_envs.actions.saccade import Saccade
from glimpse_envs.actions.scheme import GO_ON, ActionScheme, Move

__all__ = [
    "GO_ON",
    "ActionScheme",
    "Anywhere",
    "GreedyMap",
    "Hybrid",
    "Move",
    "MultiCategorical",
    "Pursuit",
    "Saccade",
]
