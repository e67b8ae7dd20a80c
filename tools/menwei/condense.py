"""A source text with up to three statements on a line, and where each line comes from.

    text, lines = condense(text)        # lines[0]: the numbers that the first and the last line of line 1 had

MicroPython keeps in each function how its lines follow each other, and tells from it where an exception was raised.
Comments, docstrings, empty lines and a line for each statement make that longer (1.4 KB in a door), and a traceback
that names two or three lines tells as much, if whoever reads it has the old numbers.
"""

import io
import token
import tokenize
from itertools import pairwise

_SPACE = (tokenize.NL, tokenize.COMMENT)
_TOGETHER = 3
_COMPOUND = ("@", "async", "class", "def", "elif", "else", "except", "finally", "for", "if", "try", "while", "with")
# A class or a function keeps lines of its own: where it begins is told by them.
_OPENS_LINES = ("@", "async", "class", "def")


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


def _first_word(words):
    return "@" if words[0] == "@" else words.split(" ", 1)[0].rstrip(":;")


def _joined(kept, begins):
    """Put simple statements that follow each other in a block on one line, a few at a time."""
    lines = []
    count = 0  # statements on the line before, 0 if nothing may follow there
    for depth, words, first, last in kept:
        simple = _first_word(words) not in _COMPOUND
        if depth == 0 and any(lines and lines[-1][3] < begin <= first for begin in begins):
            count = 0
        if simple and 0 < count < _TOGETHER and lines[-1][0] == depth:
            lines[-1] = (depth, f"{lines[-1][1]};{words}", lines[-1][2], last)
            count += 1
        else:
            lines.append((depth, words, first, last))
            count = int(simple)
    return lines


def _with_suites(lines):
    """Put a suite that is one simple line behind its colon."""
    result = []
    index = 0
    while index < len(lines):
        depth, words, first, last = lines[index]
        index += 1
        suite = lines[index : index + 2]
        if (
            words.endswith(":")
            and _first_word(words) not in _OPENS_LINES
            and _first_word(suite[0][1]) not in _COMPOUND
            and (len(suite) == 1 or suite[1][0] <= depth)
        ):
            words, last = words + suite[0][1], suite[0][3]
            index += 1
        result.append((depth, words, first, last))
    return result


def condense(text, begins=()):
    """Return the text without what only people read, and a list of (first, last) number that its lines had.

    `begins`: numbers of lines that share none with what stands before them, because a module begins there.
    """
    kept = []
    statements = list(_statements(text))
    for index, (depth, words, line, docstring) in enumerate(statements):
        if docstring or words == "pass":
            before = kept and kept[-1][0] == depth
            after = index + 1 < len(statements) and statements[index + 1][0] == depth
            if before or after:
                continue
            words = "pass"
        kept.append((depth, words, line, line))
    lines = _with_suites(_joined(kept, begins))
    return "".join(" " * line[0] + line[1] + "\n" for line in lines), [line[2:] for line in lines]
