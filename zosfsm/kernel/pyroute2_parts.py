"""Lets parts of pyroute2 be imported without the whole: its package imports every protocol that it knows.

That would be 60 ms and 7 MB at each start of a node, of which it needs a third. Whoever asks the package itself for
something that is no part of it, as `from pyroute2 import IPRoute` does, still gets all of it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec

_NAME = "pyroute2"


def spare_the_whole() -> None:
    """From now on `import pyroute2.PART` loads that part and what it needs; without effect where all is loaded."""
    spec = None if _NAME in sys.modules else find_spec(_NAME)
    if spec is None or spec.loader is None:
        return
    loader, package = spec.loader, module_from_spec(spec)

    def missing(name: str) -> object:
        try:
            return import_module(f"{_NAME}.{name}")
        except ModuleNotFoundError:
            del package.__getattr__
            loader.exec_module(package)
            return getattr(package, name)

    package.__getattr__ = missing  # type: ignore[method-assign]
    sys.modules[_NAME] = package
