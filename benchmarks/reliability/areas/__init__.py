"""The cases, by area."""

from areas import (
    arrays,
    command_line,
    environment_values,
    environments,
    files,
    hub_folders,
    models,
    picture_values,
    pictures,
    python_api,
    recipes,
    strangers,
    strangers_weights,
)

AREAS = {
    "command line": command_line.CASES,
    "recipes": recipes.CASES,
    "run folders of strangers": [
        *strangers.CONFIG_CASES,
        *strangers_weights.CASES,
        *strangers.FILE_CASES,
    ],
    "image folders": [*pictures.CASES, *picture_values.CASES],
    "arrays (npz)": arrays.CASES,
    "environments": [*environments.CASES, *environment_values.CASES],
    "policies and callbacks": models.CASES,
    "Python API": python_api.CASES,
    "files, hub and caches": [*files.CASES, *hub_folders.CASES],
}
