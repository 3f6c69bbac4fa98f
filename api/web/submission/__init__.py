"""The form a job is asked for with: from its fields to a `JobRequest` and back.

form.py      the fields as they were typed, kept whatever is wrong with them
reading.py   what they ask for, and what is wrong with which field
context.py   variables as fields and as JSON: two spellings of one thing
offers.py    models, agents and an example to choose from
calls.py     the same request by curl, Python and command line

What a request means is `app.jobs`'; what is shown where is the template's.
"""
