"""Replace pieces of a source text, found by its syntax tree; the lines keep their numbers."""

import ast


class Text:
    """A source text and the edits that are to be made to it."""

    def __init__(self, text):
        """Take the text as it is."""
        lines = [line.encode() for line in text.splitlines(keepends=True)]
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self._data = b"".join(lines)
        self._places = []

    def whole(self, node, new):
        """Replace everything that a node stands for; a statement stays as many lines long."""
        if isinstance(node, ast.stmt):
            new += "\n" * (node.end_lineno - node.lineno)
        self._places.append((self._start(node), self._end(node), new))

    def name(self, node, old, new):
        """Replace the name that a node carries: the attribute, the name behind `def`, an argument, itself."""
        start, end = self._start(node), self._end(node)
        if isinstance(node, ast.Attribute):
            start = end - len(old)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            start = self._data.index(old.encode(), self._data.index(b" ", self._definition(node, start)))
            end = start + len(old)
        elif isinstance(node, ast.arg):
            end = start + len(old)
        self._places.append((start, end, new))

    def _definition(self, node, start):
        return start + 6 if isinstance(node, ast.AsyncFunctionDef) else start

    def _start(self, node):
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node):
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def __str__(self):
        """The text with all edits made, last first."""
        data = self._data
        for start, end, new in sorted(set(self._places), reverse=True):
            data = data[:start] + new.encode() + data[end:]
        return data.decode()
