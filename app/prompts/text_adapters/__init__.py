"""The content of a prompt definition's message: Imixs' adapt-text tags and our `{{variables}}`.

    template = parse('Dear <username>$editor</username>, {{greeting}}')
    template.render(Material(workitem=…, context=…, names=…)).text

`tokens` finds the places, `tags` says what each stands for, `template` puts them together. One
pass: what is inserted is never looked at again, whatever tags and braces it holds.
"""

from app.prompts.text_adapters.template import Adapted, AdaptedTemplate, few_patterns, parse

__all__ = ["Adapted", "AdaptedTemplate", "few_patterns", "parse"]
