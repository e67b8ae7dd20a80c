"""A source text with one line for each statement, and where each line comes from.

    text, lines = condense(text)        # lines[0] is the number that the first line had

MicroPython keeps in each function how its lines follow each other, and tells from it where an exception was raised.
Comments, docstrings, empty lines and statements of several lines make that longer, and a traceback does not need them
if whoever reads it has the old numbers.
"""

import io
import token
import tokenize

_SPACE = (tokenize.NL, tokenize.COMMENT)


def _statements(text):
    """Yield (indentation, text, line number, is it a docstring) of each logical line."""
    depth, words, first = 0, [], None
    for part in tokenize.generate_tokens(io.StringIO(text).readline):
        if part.type == token.INDENT:
            depth += 1
        elif part.type == token.DEDENT:
            depth -= 1
        elif part.type == token.NEWLINE:
            yield depth, "".join(words), first.start[0], all(kind == token.STRING for kind in kinds)
            words, first = [], None
        elif part.type not in _SPACE and part.type != token.ENDMARKER:
            if first is None:
                first, kinds = part, []
            elif part.start != last.end:
                words.append(" ")
            words.append(part.string)
            kinds.append(part.type)
            last = part


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
