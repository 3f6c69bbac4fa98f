"""What a WSGI server loads: `gunicorn api.wsgi:app`."""

from __future__ import annotations

from api.app import create_app
from app import telemetry
from app.runtime import Runtime
from app.settings import load_settings

_settings = load_settings()
telemetry.start("llm-jobs-web")
app = create_app(Runtime.from_settings(_settings, threads=_settings.web_threads))
