"""The statistics room: what happened, counted once into rows per hour, and read back from them.

Jobs, calls and their usage are folded by the dispatcher's chores (`folding.py`, with `horizon.py`,
`streams.py` and `sheet.py`); votes and what dispatchers recovered are counted in the transaction
that does it (`votes.py`, `recoveries.py`). Read by the metrics (`totals.py`, `gauges.py`) and by
the Quality page (`quality.py`, with `history.py`, `intervals.py` and `buckets.py`).
"""

from app.statistics.folding import Folded, counted, fold, is_there_news, lag_seconds, prune
from app.statistics.recoveries import note_recoveries
from app.statistics.votes import count_vote

__all__ = [
    "Folded",
    "count_vote",
    "counted",
    "fold",
    "is_there_news",
    "lag_seconds",
    "note_recoveries",
    "prune",
]
