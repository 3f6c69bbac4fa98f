"""One process of a write-lock storm: migrate, then post, claim and complete as fast as it goes.

Run as a program with a URL, a name and a number of rounds. Prints how many jobs it completed.
"""

from __future__ import annotations

import sys

from app import lifecycle
from app.db import Database
from app.lifecycle import Completed, Delivery, Held, NewJob
from app.migrate import upgrade


def main(url: str, name: str, rounds: int) -> None:
    upgrade(url)
    database = Database(url)
    done = 0
    for _ in range(rounds):
        job = NewJob(template_name="t", model_name="m", max_tries=6, max_age_seconds=600)
        with database.write() as session:
            (made,) = lifecycle.create(session, [job]).values()
        with database.read() as session:
            lifecycle.anything_due(session, "default", rewake_seconds=15)
        with database.write() as session:
            message = Delivery(made.output_id, made.job_id)
            claims = lifecycle.claim(session, [message], worker=name, lease_seconds=60)
        for claim in claims.values():
            with database.write() as session:
                lifecycle.renew(session, [Held(*claim.key)], lease_seconds=60)
            with database.write() as session:
                answer = Completed(output_id=claim.output_id, fence=claim.fence, raw_response=name)
                done += len(lifecycle.complete(session, [answer]))
    database.dispose()
    sys.stdout.write(f"{done} completed\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
