"""Python's collector of cyclic garbage, while very many objects are made that live for a moment."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects between two looks at them; Python's own 700 makes a third of a bulk load's time out of looking.
NEW_OBJECTS_BETWEEN = 100_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cyclic garbage a hundred times less often, in the whole process. Memory grows by what a look would free.

    What is not part of a cycle is freed at once as ever. For a process's one load: two that overlap in threads may
    leave each other's setting.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(NEW_OBJECTS_BETWEEN, before[0]) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
