"""Athena's SQL said in DuckDB's. Pure.

sqlglot knows most of it; what it does not is mended here: rows of an array spread into columns,
and `date_diff`. What neither knows reaches DuckDB as it stands, which says that it does not know
it. One difference is left: whole numbers divided by each other give a fraction here, where Athena
cuts it off.
"""

import logging
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its warnings are for who extends it

READS = (exp.Select, exp.SetOperation, exp.Values, exp.Table)
"""What a statement may be: it reads. Everything that writes is another."""

CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Command)
"""What may stand nowhere in it."""


class NotReadable(Exception):  # noqa: N818 -- says what it is
    """The text is not one statement, or does more than read; the message says which."""


def to_duckdb(text: str) -> str:
    """The one statement in `text`, which only reads, in DuckDB's dialect.

    Raises:
        NotReadable: it cannot be parsed, is not one statement, or changes something.
    """
    try:
        found = [tree for tree in sqlglot.parse(text, read="athena") if tree is not None]
    except SqlglotError as error:
        raise NotReadable(_where(error)) from None
    if len(found) != 1:
        raise NotReadable(f"it takes one statement at a time, and this is {len(found)}")
    tree: Any = found[0]
    inner = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if not isinstance(inner, READS):
        raise NotReadable(f"history is only read: {tree.key.upper()} is not for here")
    if changing := tree.find(*CHANGES):
        raise NotReadable(f"history is only read: {changing.key.upper()} is not for here")
    for node in list(tree.find_all(exp.Join)):
        _spread(node)
    for difference in list(tree.find_all(exp.DateDiff)):
        # Athena counts units that are over, as DuckDB's date_sub does; its date_diff counts bells.
        unit = exp.Literal.string(str(difference.args["unit"].name).lower())
        ends = (difference.expression.copy(), difference.this.copy())
        difference.replace(exp.Anonymous(this="date_sub", expressions=[unit, *ends]))
    written: str = tree.sql(dialect="duckdb")
    return written


def _spread(join: Any) -> None:
    """`UNNEST(rows) AS t (a, b)` gives a column per field in Athena, and one in DuckDB."""
    unnest = join.this
    if not isinstance(unnest, exp.Unnest) or len(unnest.expressions) != 1:
        return
    alias: Any = unnest.args.get("alias")
    columns = alias.args.get("columns") if alias else None
    if not columns or len(columns) < 2 or unnest.args.get("offset"):  # noqa: PLR2004 -- several
        return
    inner = exp.select(
        exp.Anonymous(
            this="UNNEST",
            expressions=[
                unnest.expressions[0].copy(),
                exp.PropertyEQ(
                    this=exp.to_identifier("max_depth"), expression=exp.Literal.number(2)
                ),
            ],
        )
    )
    lateral = exp.Lateral(this=exp.Subquery(this=inner), alias=alias.copy())
    join.set("this", lateral)


def _where(error: SqlglotError) -> str:
    details = getattr(error, "errors", None)
    if not details:
        return f"it cannot be read as SQL: {error}"
    first = details[0]
    return (
        f"it cannot be read as SQL at line {first['line']}, column {first['col']}, "
        f"near {first['highlight']!r}: {first['description']}"
    )
