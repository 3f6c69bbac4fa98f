"""Where a form says one should go on: to a page of ours, and nowhere else."""

from __future__ import annotations


def own(address: str, otherwise: str) -> str:
    """The address if it is a path of this site, else `otherwise`: a form's `next` may be forged."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    clean = ours and "\\" not in address and all(one.isprintable() for one in address)
    return address if clean else otherwise
