"""Trainings on the machines of a Ray cluster; imported where one is asked for.

Ray is an extra: ``pip install "glimpse-envs[ray]"``.
"""
