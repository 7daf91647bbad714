"""The shapes of this package's numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Codes = NDArray[np.int8]
Booleans = NDArray[np.bool_]

# What a model run keeps: what json.dumps writes and json.loads gives back unchanged.
Parameters = dict[str, Any]

DAYS_PER_WEEK = 7.0
