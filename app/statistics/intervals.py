"""How sure a share of thumbs can be: intervals for the mean of yes-or-no answers. Pure functions.

Two kinds, for two situations:

* `confidence_sequence` holds at every look at once: whoever watches a number grow and stops when it
  looks good is still right 95 times of 100. It is the beta-binomial mixture for Bernoulli means
  (Robbins, Ann. Math. Statist. 41, 1970; Howard, Ramdas, McAuliffe and Sekhon, Ann. Statist. 49,
  2021, sections 3 and 4; as prior-posterior ratio: Waudby-Smith and Ramdas, NeurIPS 2020).
* `wilson` holds for one look at a number of answers fixed beforehand (Wilson, J. Amer. Statist.
  Assoc. 22, 1927). It is narrower, and wrong more often than it says when it is looked at again and
  again: in the test's simulation two times in five.

Both ask that the answers of a group come with one unchanging chance and independently.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

LEVEL = 0.95
PRIOR = 0.5
"""Both parameters of the mixture's beta weight. Jeffreys' half watches shares near 0 and 1 closely,
where shares of thumbs are."""

_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Of a difference: does it tell which of the two is larger?"""
        return self.low > 0 or self.high < 0


def confidence_sequence(yes: int, n: int, *, level: float = LEVEL) -> Interval:
    """Where the chance of a yes lies after `yes` of `n` answers, at this look and all others.

    Under the true chance p the likelihood of the answers, averaged over a beta weight, divided by
    their likelihood under p is a martingale that starts at 1. By Ville's inequality it ever reaches
    1 / (1 - level) with probability 1 - level at most. The interval is each p where it has not.

    Raises ValueError unless 0 <= yes <= n and 0 < level < 1.
    """
    _check(yes, n, level)
    if n == 0:
        return Interval(0.0, 1.0)
    most = _log_mixture(yes, n) + math.log(1 - level)
    share = yes / n

    def is_inside(p: float) -> bool:
        return _log_likelihood(yes, n, p) > most

    low = 0.0 if yes == 0 else _edge(is_inside, inside=share, outside=0.0)
    high = 1.0 if yes == n else _edge(is_inside, inside=share, outside=1.0)
    return Interval(low, high)


def wilson(yes: int, n: int, *, level: float = LEVEL) -> Interval:
    """Where the chance of a yes lies after `yes` of `n` answers, looked at once, `n` fixed before.

    Raises like `confidence_sequence`.
    """
    _check(yes, n, level)
    if n == 0:
        return Interval(0.0, 1.0)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share, spread = yes / n, z2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def difference(yes: int, n: int, other_yes: int, other_n: int, *, level: float = LEVEL) -> Interval:
    """Where the first chance minus the second lies, at every look at both.

    Each gets a confidence sequence at half the error, so both hold at once (the union bound), and
    with them the difference: nothing is asked of how the two groups' answers are interleaved.
    Raises like `confidence_sequence`.
    """
    shared = (1 + level) / 2
    first = confidence_sequence(yes, n, level=shared)
    second = confidence_sequence(other_yes, other_n, level=shared)
    return Interval(first.low - second.high, first.high - second.low)


def _check(yes: int, n: int, level: float) -> None:
    if not 0 <= yes <= n:
        raise ValueError(f"{yes} of {n} answers")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: must lie between 0 and 1")


def _log_mixture(yes: int, n: int) -> float:
    """The logarithm of the likelihood, averaged over the beta weight."""
    return _log_beta(PRIOR + yes, PRIOR + n - yes) - _log_beta(PRIOR, PRIOR)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(yes: int, n: int, p: float) -> float:
    """Concave in p and greatest at yes / n, so that each side has one edge."""
    no = n - yes
    if (yes and p <= 0) or (no and p >= 1):
        return -math.inf
    return (yes * math.log(p) if yes else 0.0) + (no * math.log1p(-p) if no else 0.0)


def _edge(is_inside: Callable[[float], bool], *, inside: float, outside: float) -> float:
    """Where yes turns to no; rounded outwards, so that the interval never is too narrow."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if is_inside(middle):
            inside = middle
        else:
            outside = middle
    return outside
