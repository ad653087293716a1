"""Phases as people name them on the command line."""

from collections.abc import Sequence

from models.xrf.compounds import mass_shares


def phases_named(words: Sequence[str], elements: Sequence[str]) -> dict[str, dict[str, float]] | None:
    """What each phase holds of each element, in the unit of the maps; None where no phase is named.

    Args:
        words: ``NMC:Mn=0.2,Co=0.1,Ni=0.7`` with amounts in the unit of the maps, or a formula as ``LiCoO2``, which
            stands for mass shares and so for maps of areal density.
        elements: that were measured.

    Raises:
        ValueError: a phase cannot be read, holds no measured element, or is named twice.
    """
    phases: dict[str, dict[str, float]] = {}
    for word in words:
        name, amounts = _phase(word, elements)
        unknown = sorted(set(amounts) - set(elements))
        if unknown:
            raise ValueError(f"phase {name!r} names {', '.join(unknown)}: measured are {', '.join(elements)}")
        if not any(amounts.values()) or min(amounts.values()) < 0:
            raise ValueError(f"phase {name!r} holds {amounts}: some measured element is needed, and none below 0")
        if name in phases:
            raise ValueError(f"phase {name!r} is named twice")
        phases[name] = {element: amounts.get(element, 0.0) for element in elements}
    return phases or None


def _phase(word: str, elements: Sequence[str]) -> tuple[str, dict[str, float]]:
    name, colon, listed = word.partition(":")
    if not colon:
        return word, dict(zip(elements, mass_shares(word, elements).tolist(), strict=True))
    amounts = {}
    for part in listed.split(","):
        element, _, amount = part.partition("=")
        try:
            amounts[element.strip()] = float(amount)
        except ValueError as error:
            raise ValueError(f"phase {word!r} cannot be read: pass NAME:El=amount,El=amount or a formula") from error
    return name.strip(), amounts
