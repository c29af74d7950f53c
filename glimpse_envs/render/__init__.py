"""Pictures of episodes: frames, films and scanpath figures."""
