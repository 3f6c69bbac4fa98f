"""Imixs-AI's ways to write a prompt definition: its XML of three generations, and BPMN models.

`markup` reads XML safely, `blocks` says what its elements mean, `writing` writes them, `bpmn` finds
them in a model; `config` reads Imixs's list of endpoints. All meet in `app.prompts.documents`.
"""
