"""Settings that were measured to work, as TOML files."""

from importlib.resources import files
from pathlib import Path

from tmssl.errors import ConfigError
from tmssl.text import nearest, safe


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = Path(str(files("tmssl.recipes")))
    return sorted(path.stem for path in folder.glob("*.toml"))


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe, or of a path that ends in `.toml`.

    Raises:
        ConfigError: there is no such recipe.
    """
    if name.endswith(".toml"):
        return Path(name)
    if name not in recipe_names():
        raise ConfigError(
            f"no recipe '{safe(name)}'{nearest(name, recipe_names())}; there are "
            f"{', '.join(recipe_names())}, or give a path that ends in .toml"
        )
    return Path(str(files("tmssl.recipes"))) / f"{name}.toml"
