"""Inverse action modelling: which action turned one image into another.

An object lies on a raster canvas; an action with a parameter, such as a move in x by 5.2 pixels,
changes it. Seen are the canvas before and after; told is the type of the action and its parameter.
Source: Dyachkov, Levin and Kudashov, "Siamese visual transformer with cross-attention for inverse
action modelling in a visual environment" (ITMO University and SpaceThink).

The ids are ``GlimpseInverse<Data>-v0``. Canvases are drawn by torch, so this package is imported
when one of them is made, not by ``import glimpse_envs``.
"""

from glimpse_envs.inverse.actions import ActionTable, ActionType
from glimpse_envs.inverse.config import InverseConfig, make_config
from glimpse_envs.inverse.core import InverseCore
from glimpse_envs.inverse.envs import InverseEnv, InverseVectorEnv
from glimpse_envs.inverse.scenes import CanvasScene
from glimpse_envs.inverse.similarity import Similarity

__all__ = [
    "ActionTable",
    "ActionType",
    "CanvasScene",
    "InverseConfig",
    "InverseCore",
    "InverseEnv",
    "InverseVectorEnv",
    "Similarity",
    "make_config",
]
