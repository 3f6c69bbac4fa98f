"""Live news between processes, over Redis: what changed, what a model writes, who should stop.

All of it is a convenience. Rows are the truth: without Redis a waiter learns of an end from the
database within seconds, a cancel is found by the next heartbeat, and text appears when it is whole.

    publisher.py   a thread that sends what the others hand it, and never makes them wait
    listener.py    a thread that hears the channels and passes them on
    events.py      `Events`, what the rest of the house uses
    feed.py        what moved and what is new, for everybody who watches a list
"""

from app.streaming.events import Events, StreamEvent

__all__ = ["Events", "StreamEvent"]
