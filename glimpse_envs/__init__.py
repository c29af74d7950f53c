"""Active vision as Gymnasium environments: images seen only through glimpses.

Importing this package registers ``Glimpse<Data>-<Scheme>-v0`` with Gymnasium.
"""

from glimpse_envs.actions import (
    ActionScheme,
    Anywhere,
    GreedyMap,
    Hybrid,
    Move,
    MultiCategorical,
    Saccade,
)
from glimpse_envs.boxview import BoxActions, BoxView
from glimpse_envs.classifier import GlimpseClassifier, Reading
from glimpse_envs.config import GlimpseConfig
from glimpse_envs.core import GlimpseCore, Sequences
from glimpse_envs.data.augmentation import Augmentation, ShiftFlip
from glimpse_envs.data.datasets import DatasetError, ImageDataset
from glimpse_envs.data.downloads import pack_dataset
from glimpse_envs.data.loaders import load_dataset
from glimpse_envs.envs import GlimpseEnv, GlimpseVectorEnv
from glimpse_envs.gaze import Geometry
from glimpse_envs.registration import REGISTERED, register_all
from glimpse_envs.rewards import (
    GlimpseCost,
    InformationGain,
    InverseCrossEntropy,
    NegativeCrossEntropy,
    NewlySeen,
    Outcome,
    PerStep,
    Reward,
    Sum,
    Terminal,
    UncertaintyReduction,
)
from glimpse_envs.scenes import ClutteredCanvas, Plain, Scene, TranslatedCanvas
from glimpse_envs.sensors import Crop, Retina, Sensor

__version__ = "0.1.0"

register_all()

__all__ = [
    "REGISTERED",
    "ActionScheme",
    "Anywhere",
    "Augmentation",
    "BoxActions",
    "BoxView",
    "ClutteredCanvas",
    "Crop",
    "DatasetError",
    "Geometry",
    "GlimpseClassifier",
    "GlimpseConfig",
    "GlimpseCore",
    "GlimpseCost",
    "GlimpseEnv",
    "GlimpseVectorEnv",
    "GreedyMap",
    "Hybrid",
    "ImageDataset",
    "InformationGain",
    "InverseCrossEntropy",
    "Move",
    "MultiCategorical",
    "NegativeCrossEntropy",
    "NewlySeen",
    "Outcome",
    "PerStep",
    "Plain",
    "Reading",
    "Retina",
    "Reward",
    "Saccade",
    "Scene",
    "Sensor",
    "Sequences",
    "ShiftFlip",
    "Sum",
    "Terminal",
    "TranslatedCanvas",
    "UncertaintyReduction",
    "load_dataset",
    "pack_dataset",
]
