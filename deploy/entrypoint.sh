#!/bin/sh
# Runs the line of the Procfile that the first argument names (web, worker, flower, release), or any
# other command as it is. The program replaces this shell, so signals reach it.
set -eu

line=$(python - "$1" <<'PYTHON'
import sys

from app.dev.procfile import shipped_procfile

print(shipped_procfile().get(sys.argv[1], ""))
PYTHON
)
if [ -z "$line" ]; then
    exec "$@"
fi
exec sh -c "exec $line"
