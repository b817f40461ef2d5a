"""The folder is the registry: a plug-in is found by its file name."""

import importlib
import pkgutil
from types import ModuleType

from p2med.errors import RecipeError


def names(package: str) -> list[str]:
    """File names in a plug-in folder, sorted; `base` and names with a leading underscore are not."""
    path = importlib.import_module(package).__path__
    return sorted(
        m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_") and m.name != "base"
    )


def load(package: str, name: str) -> ModuleType:
    """Import the module `package.name`.

    Raises:
      RecipeError: there is no such file; the message lists the names that exist.
    """
    found = names(package)
    if name not in found:
        folder = package.removeprefix("p2med.").replace(".", "/")
        raise RecipeError(f"{folder}/ has no {name!r}; there are: {', '.join(found)}")
    return importlib.import_module(f"{package}.{name}")
