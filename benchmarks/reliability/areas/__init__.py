"""The cases, by area."""

from areas import (
    arrays,
    command_line,
    environments,
    files,
    models,
    pictures,
    python_api,
    recipes,
    strangers,
)

AREAS = {
    "command line": command_line.CASES,
    "recipes": recipes.CASES,
    "run folders of strangers": strangers.CASES,
    "image folders": pictures.CASES,
    "arrays (npz)": arrays.CASES,
    "environments": environments.CASES,
    "policies and callbacks": models.CASES,
    "Python API": python_api.CASES,
    "files, hub and caches": files.CASES,
}
