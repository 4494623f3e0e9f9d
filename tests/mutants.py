"""Mutations of a function's source, one slip a time: another operator, a number off by one, a call or a line left out."""

import ast
from copy import deepcopy

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.Is: ast.IsNot,
}
NAMES = {
    "argmax": "argmin",
    "argmin": "argmax",
    "sum": "mean",
    "mean": "sum",
    "norm": "sum",
    "square": "abs",
    "ceil": "int",
    "stdev": "pstdev",
    "fmean": "max",
    "log10": "log1p",
    "randn": "rand",
    "numel": "dim",
    "Adam": "SGD",
    "range": "len",
}


def mutants(source):
    """(what was done, the source after it), each of them once."""
    tree = ast.parse(source)
    seen = {ast.unparse(tree)}
    for place, node in enumerate(ast.walk(tree)):
        for done, change in _changes(node):
            copied = deepcopy(tree)
            target = list(ast.walk(copied))[place]
            change(target)
            text = ast.unparse(ast.fix_missing_locations(copied))
            if text not in seen:
                seen.add(text)
                yield f"line {getattr(node, 'lineno', 1)}: {done}", text


def _changes(node):
    """What may go wrong at a node: words, and a function that does it to a copy of the node."""
    if isinstance(node, ast.BinOp):
        yield from _operators(node.op, "op")
        yield "the left side alone", lambda copy: _become(copy, copy.left)
        yield "the right side alone", lambda copy: _become(copy, copy.right)
    elif isinstance(node, ast.AugAssign):
        yield from _operators(node.op, "op")
    elif isinstance(node, ast.Compare):
        yield from ((words, lambda copy, new=new: copy.ops.__setitem__(0, new())) for words, new in _swapped(node.ops[0]))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "turned", lambda copy: setattr(copy, "value", not copy.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "one more", lambda copy: setattr(copy, "value", copy.value + 1)
    elif isinstance(node, ast.UnaryOp):
        yield "the sign left out", lambda copy: _become(copy, copy.operand)
    elif isinstance(node, ast.IfExp):
        yield "the sides exchanged", _exchange
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        yield "the other way round", lambda copy: copy.elts.reverse()
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.FunctionDef | ast.For):
        for place, line in enumerate(node.body):
            if isinstance(line, ast.Assign | ast.AugAssign | ast.Expr) and len(node.body) > 1:
                yield f"without its line {place + 1}", lambda copy, place=place: copy.body.pop(place)


def _operators(operator, field):
    return ((words, lambda copy, new=new: setattr(copy, field, new())) for words, new in _swapped(operator))


def _swapped(operator):
    new = OPERATORS.get(type(operator))
    if new:
        yield f"{new.__name__} for {type(operator).__name__}", new


def _calls(node):
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name in NAMES:
        field = "attr" if isinstance(called, ast.Attribute) else "id"
        yield f"{NAMES[name]} for {name}", lambda copy: setattr(copy.func, field, NAMES[name])
    if isinstance(called, ast.Attribute) and not node.args:
        yield f"without .{name}()", lambda copy: _become(copy, copy.func.value)
    if len(node.args) > 1:
        yield "arguments exchanged", lambda copy: copy.args.reverse()
    for place, keyword in enumerate(node.keywords):
        yield f"without {keyword.arg}", lambda copy, place=place: copy.keywords.pop(place)


def _become(copy, other):
    copy.__class__ = other.__class__
    copy.__dict__.clear()
    copy.__dict__.update(other.__dict__)


def _exchange(copy):
    copy.body, copy.orelse = copy.orelse, copy.body
