"""docs/data-catalogue.md, written from the declared schema and the views. Pure."""

from collections.abc import Iterable

from sinks.catalogue import Column, nested, tables
from sinks.catalogue_views import views

_HEAD = """\
# Data catalogue

What analysts find in the lake, and what it means. This page is written by `tillwatch catalogue page` from the declared
schema (`sinks/schema.py`) and the views (`sinks/catalogue_views.py`); a test holds it to them.

- **Asking**: in Athena, once `tillwatch catalogue apply` has run; here, with `tillwatch sql "…"`: the same SQL over the same
  files. Without a query it lists what there is.
- **Days**: the folders, `date` and `hour` of `transactions`, and every time, are in UTC. The `date` of the daily views is
  the **day of business**: of the time zone that `TILLWATCH_BUSINESS_TIME_ZONE` names, or with `shop`, the default, of each
  till's own clock, as it sent it. A view cannot turn a day of business into folders: name `transactions` with its `date`
  where a question must read little.
- **Amounts** are exact decimals, in the row's `currency`. The views never add up two currencies, but for `processed_table`,
  which has a row for each and leaves adding to who asks.
- **Freshness**: daily views stand on `transactions_now`, which has everything up to the last checkpoint.
- **Types** are those of Athena's SQL. `tillwatch sql` speaks its dialect with one difference known: whole numbers divided by
  each other give a fraction, where Athena cuts it off; `CAST` one of them and both say the same.
- **Past days** are merged into few files by `tillwatch compact` ([0011](decisions/0013-compaction.md)). `transactions` and what
  stands on it show each row once at any moment; the tables of files below do not.
- **Pages** are in the lake when the batch that told them is committed, and a little before.
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD]
    for table in tables("<application>"):
        parts.append(f"\n## {table.name} (table)\n\n{table.meaning} Files: `{table.folder}`.\n\n")
        parts.append(_rows((*table.columns, *table.partitions)))
    parts.append("\n## What lists hold\n")
    for name, columns in nested().items():
        parts.append(f"\nOne element of `{name}`:\n\n{_rows(columns)}")
    for view in views():
        parts.append(f"\n## {view.name} (view)\n\n{view.meaning}\n\n{_rows(view.columns)}")
        parts.append(f"\n```sql\n{view.sql}\n```\n")
    return "".join(parts)


def _rows(columns: Iterable[Column]) -> str:
    rows = (f"| `{c.name}` | `{_short(c.kind)}` | {c.meaning} |\n" for c in columns)
    return f"| column | type | meaning |\n|---|---|---|\n{''.join(rows)}"


def _short(kind: str) -> str:
    return "array of rows" if kind.startswith("array(row(") else kind
