"""The list of recipes.

A recipe yields (name, bytes, error, stage, offset or None). The stage is who refuses: open, config, tokenizer or weights, in the
order in which a load comes to them; "ok" runs. The offset is the one the error must name; None: not looked at.
"""

RECIPES = []


def recipe(ident, source="-"):
    """Adds a function to the list. `source` is the public report of such a file."""
    def keep(function):
        RECIPES.append((ident, source, function))
        return function
    return keep
