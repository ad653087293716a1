"""What compounds are made of."""

from collections.abc import Sequence

import numpy as np
import xraylib
from numpy.typing import NDArray


def mass_shares(formula: str, elements: Sequence[str]) -> NDArray[np.float64]:
    """Mass of each element per mass of a compound, (element,); 0 of those that it does not hold.

    Args:
        formula: ``LiNi0.7Mn0.2Co0.1O2`` for example.
        elements: symbols.

    Raises:
        ValueError: the formula cannot be read, or there is no such element.
    """
    try:
        parsed = xraylib.CompoundParser(formula)
    except ValueError as error:
        raise ValueError(f"{formula!r} is no formula: pass one such as 'LiCoO2'") from error
    shares = dict(zip(parsed["Elements"], parsed["massFractions"], strict=True))
    numbers = [xraylib.SymbolToAtomicNumber(element) for element in elements]
    return np.array([shares.get(number, 0.0) for number in numbers])
