"""PPO of RLlib (the new API stack) with one branched network; imported where it is asked for.

RLlib is an extra: ``pip install "glimpse-envs[ray]"``. :func:`~glimpse_lab.rllib.config.ppo` gives
the configuration of an algorithm.
"""
