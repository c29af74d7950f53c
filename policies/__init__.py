"""Stable-Baselines3 policies that learn where to look and when to answer.

Importing this package registers the names of the classifiers.
"""

from policies.actions.cacla import CACLA
from policies.actions.epsilon_greedy import EpsilonGreedy
from policies.actions.hybrid import HybridDistribution
from policies.actor_critic import GlimpseLstmPolicy, GlimpsePolicy
from policies.callbacks import PackedSequences
from policies.classifier.cotraining import CoTrainingCallback
from policies.classifier.joint_training import CoTraining
from policies.classifier.model import TorchClassifier
from policies.extractors.glimpse import GlimpseExtractor
from policies.extractors.vit import ViTExtractor
from policies.function_agent import FunctionAgent
from policies.hybrid_policies import HybridLstmPolicy, HybridPolicy
from policies.imitation import Imitation
from policies.memory_tokens import GlimpseTokenPolicy

__all__ = [
    "CACLA",
    "CoTraining",
    "CoTrainingCallback",
    "EpsilonGreedy",
    "FunctionAgent",
    "GlimpseExtractor",
    "GlimpseLstmPolicy",
    "GlimpsePolicy",
    "GlimpseTokenPolicy",
    "HybridDistribution",
    "HybridLstmPolicy",
    "HybridPolicy",
    "Imitation",
    "PackedSequences",
    "TorchClassifier",
    "ViTExtractor",
]
