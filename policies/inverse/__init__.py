"""Inverse action modelling: transformers that tell actions, and how rewards alone train them."""

from policies.inverse.enumeration import ActionEnumeration
from policies.inverse.instructed import InstructedExtractor, InstructedPolicy
from policies.inverse.network import SiameseExtractor
from policies.inverse.policy import SiamesePolicy
from policies.inverse.supervised import SupervisedActions
from policies.inverse.text import HuggingFaceEncoder, TextEncoder, WordEncoder
from policies.inverse.visual import load_visual

__all__ = [
    "ActionEnumeration",
    "HuggingFaceEncoder",
    "InstructedExtractor",
    "InstructedPolicy",
    "SiameseExtractor",
    "SiamesePolicy",
    "SupervisedActions",
    "TextEncoder",
    "WordEncoder",
    "load_visual",
]
