"""`llm-jobs dev` with stand-ins for the servers: run as a program by tests of the supervisor.

`python -m tests.support.dev_stand_ins DIRECTORY [web|job|release|stop]...`; the named parts do not
work (`stop`: the web server does not stop when told to, and every signal is a wish of its own).
The private Redis is the real one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

from app.dev import service
from app.dev.child import Program
from app.dev.console import Console
from app.dev.plan import Addresses, Plan
from app.dev.ports import free_port
from app.dev.redis import EmbeddedRedis, find_redis_server
from app.dev.service import serve
from app.dev.supervisor import StartFailed

_WEB = """
    import json, signal, sys
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/healthz":
                return self.answer(200, {})
            assert self.path == "/api/v1/llm_jobs/7e57?wait=30", self.path
            assert self.headers["Authorization"] == "Bearer ljk_key"
            self.answer(200, {"job_id": "7e57", "status": sys.argv[2], "parsed_output": "Hello!"})

        def do_POST(self):
            assert self.path == "/api/v1/llm_jobs"
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(201, {"job_id": "7e57", "output_id": 1, "status": "queued"})

        def answer(self, status, body):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args):
            pass

    if sys.argv[3] == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("up")
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_OTHER = "import time; print('up'); time.sleep(600)"
_COMMAND = """#!/bin/sh
case "$1" in
  keys) echo "ljk_key"; echo "key 1" >&2 ;;
esac
"""


def stand_in_plan(directory: Path, *, broken: set[str]) -> Plan:
    """A plan like the real one. `broken` names parts that do not work."""
    command = directory / "llm-jobs"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    env = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    port = free_port()
    web = "raise SystemExit('no web')" if "web" in broken else _WEB
    release = "raise SystemExit('no database')" if "release" in broken else "print('migrated')"
    outcome = "failed" if "job" in broken else "completed"
    hearing = "deaf" if "stop" in broken else "hears"

    def program(name: str, script: str, *arguments: str) -> Program:
        line = (sys.executable, "-c", textwrap.dedent(script), *arguments)
        return Program(name=name, command=line, env=env)

    others = [program(name, _OTHER) for name in ("simulator", "flower", "worker")]
    return Plan(
        redis=EmbeddedRedis(program=find_redis_server()),
        release=program("release", release),
        servers=(
            *others,
            replace(program("web", web, str(port), outcome, hearing), grace_seconds=600),
        ),
        addresses=Addresses(
            host="127.0.0.1", web_port=port, flower_port=free_port(), simulator_port=free_port()
        ),
        flower_auth="admin:pass:word",
        password="correct horse battery",
        env=env,
    )


def main() -> int:
    """Serve as `llm-jobs dev` does; returns its exit status."""
    directory, *broken = sys.argv[1:]
    if "stop" in broken:
        service._ONE_WISH_SECONDS = 0
    plan = stand_in_plan(Path(directory), broken=set(broken))
    try:
        return asyncio.run(serve(plan, Console(sys.stdout)))
    except StartFailed as error:
        print(f"the start failed: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
