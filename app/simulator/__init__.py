"""The simulator: a model vendor of our own, for development, tests and benchmarks.

It speaks the wire formats of OpenAI (and so of every compatible server and Ollama) and Anthropic,
answers deterministically, misbehaves on demand and remembers every request it saw. It is a server
like any other: nothing in here is imported by the code that calls models.

    behaviour      what a model name asks for: the grammar and its words
    question       what was asked, what is said, and the seam between the two wires
    answers        what the model says
    schema_value   a value that satisfies a JSON Schema
    openai_wire, anthropic_wire   the two formats
    sending, faults               how answers and failures reach the socket
    witness        the log of what was seen
    server, control               the process and its own API
    testing        the simulator inside a test
"""
