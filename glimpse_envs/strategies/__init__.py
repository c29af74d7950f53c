"""Scripted gazes: what a learned gaze has to beat, and what a classifier starts with."""

from glimpse_envs.strategies.base import Blind, ScriptedGaze, reachable_zooms, scripted
from glimpse_envs.strategies.drawn import Glance, Mixture, Uniform, Walk
from glimpse_envs.strategies.on_target import OnTarget
from glimpse_envs.strategies.scans import Centre, Fixed, Grid, Stay

__all__ = [
    "Blind",
    "Centre",
    "Fixed",
    "Glance",
    "Grid",
    "Mixture",
    "OnTarget",
    "ScriptedGaze",
    "Stay",
    "Uniform",
    "Walk",
    "reachable_zooms",
    "scripted",
]
