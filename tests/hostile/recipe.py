"""The list of recipes.

A recipe yields (name, bytes, error, stage, offset or None). The stage is who refuses; "ok" runs. Which stages there are depends on
the kind of file (tests/hostile/replay.h):

    .gguf .slm .bin     open, config, tokenizer, weights, in the order in which a load comes to them
    .cfg                settings: the first line that is ignored; its number is the offset
    .jinja              parse, render
    .safetensors .clif .scxm .manifest      parse

The offset is the one the error must name; None: not looked at. A name that starts with "=" is the whole name of the file; what is
BESIDE another file has no error of its own.
"""

RECIPES = []
BESIDE = ("-", "beside", None)


def recipe(ident, source="-", suffix="gguf"):
    """Adds a function to the list. `source` is the public report of such a file."""
    def keep(function):
        RECIPES.append((ident, source, suffix, function))
        return function
    return keep
