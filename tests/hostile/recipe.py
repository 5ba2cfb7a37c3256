"""The list of recipes.

A recipe yields (name, bytes, error, stage, offset or None). The stage is who refuses; "ok" runs. Which stages there are depends on
the kind of file (tests/hostile/replay.h):

    .gguf .slm .bin     open, config, tokenizer, weights, in the order in which a load comes to them
    .cfg                settings: the first line that is ignored; its number is the offset
    .jinja              parse, render
    .safetensors .clif .scxm .manifest      parse

The offset is the one the error must name, or NOWHERE: what is wrong has no place in the file, as a key that is missing has none. None
is right for a file that is good, and otherwise says that the offset stands in offsets.tsv, where it was recorded from a run and looked
at (generate.py --record). A name that starts with "=" is the whole name of the file; what is
BESIDE another file has no error of its own.
"""

RECIPES = []
BESIDE = ("-", "beside", None)
NOWHERE = "none"


def recipe(ident, source="-", suffix="gguf"):
    """Adds a function to the list. `source` is the public report of such a file."""
    def keep(function):
        RECIPES.append((ident, source, suffix, function))
        return function
    return keep
