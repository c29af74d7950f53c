"""Active vision as Gymnasium environments: images seen only through glimpses.

Importing this package registers ``Glimpse<Data>-<Scheme>-v0`` with Gymnasium. Parts that exist are
in the modules ``actions``, ``moving``, ``rewards``, ``scenes``, ``sensors`` and ``strategies``;
here are what they are made of, the environments, the data, and what recorded episodes tell
(``metrics``).
"""

from glimpse_envs import metrics, strategies
from glimpse_envs.actions import ActionScheme
from glimpse_envs.boxview import BoxActions
from glimpse_envs.classifier import GlimpseClassifier, Reading
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.data.datasets import ImageDataset
from glimpse_envs.data.downloads import pack_dataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.envs import GlimpseEnv, GlimpseVectorEnv
from glimpse_envs.moving import MovingScene
from glimpse_envs.registration import register_all
from glimpse_envs.rewards import Reward
from glimpse_envs.scenes import Scene
from glimpse_envs.sensors import Sensor
from glimpse_envs.strategies import ScriptedGaze

__version__ = "0.2.0"

register_all()

__all__ = [
    "ActionScheme",
    "BoxActions",
    "GlimpseClassifier",
    "GlimpseConfig",
    "GlimpseEnv",
    "GlimpseVectorEnv",
    "ImageDataset",
    "MovingScene",
    "Reading",
    "Reward",
    "Scene",
    "ScriptedGaze",
    "Sensor",
    "load_dataset",
    "metrics",
    "pack_dataset",
    "strategies",
]
