"""Systems of networks written as graphs of modules, compiled into environment and agent.

The interface is that of "GRLF" in the saccader internship report (Yax, Doerig and Kietzmann,
"Toward machines that see like us"), sections 4.2 and 4.3.
"""

from glimpse_lab.graph.capsule import BatchCapsule
from glimpse_lab.graph.classifier import Answering, Classifier, Vote
from glimpse_lab.graph.data import Cropper, Database
from glimpse_lab.graph.errors import GraphError, PortTypeError, UnknownPortError
from glimpse_lab.graph.frameworks import Framework, gymnasium_environment, register_framework
from glimpse_lab.graph.graph import Graph
from glimpse_lab.graph.loop import Loop
from glimpse_lab.graph.models import GlimpseModel, ModelModule
from glimpse_lab.graph.module import FitableModule, Module, PointerModule, RLInput
from glimpse_lab.graph.ports import Input, Output, Port
from glimpse_lab.graph.reward import Reward
from glimpse_lab.graph.rl import RL_Module, RLModule
from glimpse_lab.graph.saccader import PPOSaccader
from glimpse_lab.graph.types import PortType

__all__ = [
    "Answering",
    "BatchCapsule",
    "Classifier",
    "Cropper",
    "Database",
    "FitableModule",
    "Framework",
    "GlimpseModel",
    "Graph",
    "GraphError",
    "Input",
    "Loop",
    "ModelModule",
    "Module",
    "Output",
    "PPOSaccader",
    "PointerModule",
    "Port",
    "PortType",
    "PortTypeError",
    "RLInput",
    "RLModule",
    "RL_Module",
    "Reward",
    "UnknownPortError",
    "Vote",
    "gymnasium_environment",
    "register_framework",
]
