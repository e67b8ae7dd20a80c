"""A source text with one line for each statement, and where each line comes from.

    text, lines = condense(text)        # lines[0] is the number that the first line had

MicroPython keeps in each function how its lines follow each other, and tells from it where an exception was raised.
Comments, docstrings, empty lines and statements of several lines make that longer, and a traceback does not need them
if whoever reads it has the old numbers.
"""

import io
import token
import tokenize
from itertools import pairwise

_SPACE = (tokenize.NL, tokenize.COMMENT)


def _written(parts):
    """Put the words of a statement together, on one line."""
    text = parts[0].string
    for before, part in pairwise(parts):
        text += part.string if part.start == before.end else " " + part.string
    return text


def _statements(text):
    """Yield (indentation, text, line number, is it a docstring) of each logical line."""
    depth, parts = 0, []
    for part in tokenize.generate_tokens(io.StringIO(text).readline):
        if part.type == token.INDENT:
            depth += 1
        elif part.type == token.DEDENT:
            depth -= 1
        elif part.type == token.NEWLINE:
            docstring = all(word.type == token.STRING for word in parts)
            yield depth, _written(parts), parts[0].start[0], docstring
            parts = []
        elif part.type not in _SPACE and part.type != token.ENDMARKER:
            parts.append(part)


def condense(text):
    """Return the text without what only people read, and a list of the line numbers that its lines had."""
    kept = []
    statements = list(_statements(text))
    for index, (depth, words, line, docstring) in enumerate(statements):
        if docstring or words == "pass":
            before = kept and kept[-1][0] == depth
            after = index + 1 < len(statements) and statements[index + 1][0] == depth
            if before or after:
                continue
            words = "pass"
        kept.append((depth, words, line))
    return "".join(" " * depth + words + "\n" for depth, words, _ in kept), [line for _, _, line in kept]
