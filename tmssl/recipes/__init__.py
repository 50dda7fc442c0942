"""Settings for common machines and experiments, as TOML files."""

from importlib.resources import files
from pathlib import Path

from tmssl.errors import ConfigError
from tmssl.text import nearest, safe


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = Path(str(files("tmssl.recipes")))
    return sorted(path.stem for path in folder.glob("*.toml"))


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe, or the file that is given by its path.

    Raises:
        ConfigError: there is neither such a recipe nor such a file.
    """
    if name in recipe_names():
        return Path(str(files("tmssl.recipes"))) / f"{name}.toml"
    path = Path(name)
    if path.suffix == ".toml" or len(path.parts) > 1 or path.is_file():
        return path
    raise ConfigError(
        f"no recipe '{safe(name)}'{nearest(name, recipe_names())}; there are "
        f"{', '.join(recipe_names())}, or give the path of a TOML file"
    )
