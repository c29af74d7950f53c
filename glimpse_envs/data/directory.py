"""Where data are kept."""

import os
from pathlib import Path


def data_directory() -> Path:
    """``GLIMPSE_DATA_DIR``, or else ``glimpse_envs`` in the user's cache; it may not exist yet."""
    if chosen := os.environ.get("GLIMPSE_DATA_DIR"):
        return Path(os.path.expanduser(chosen)).absolute()  # which leaves an unknown ~name alone
    from platformdirs import user_cache_path  # lazily: not needed where a directory is chosen

    return user_cache_path("glimpse_envs", appauthor=False, opinion=False)
