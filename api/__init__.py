"""The HTTP API: Flask, and nothing that decides what a job means (that is `app`).

app.py          makes the application         wsgi.py, gunicorn.py   serve it
routing.py      the list of endpoints         auth.py, limits.py     who may, how often
body.py         reads JSON strictly           validation.py          applies the schemas
uploads.py      files in requests             multipart.py, json_files.py   their two forms
documents.py    prompt definitions as bodies
errors.py       every refusal, one form       replies.py             every answer
converters.py   ids in addresses              request_log.py         one line a request
health.py       is it alive, is it ready      metrics.py             numbers for Prometheus
holding.py      waits and streams, bounded    sse.py                 event streams
openapi.py      the document                  docs.py, reference.py  its readers
schemas/        what goes in and out          v1/                    the operations
web/            the pages                     static/                their scripts and styles
"""
