"""The JSON Schema of the wire format, generated from the types.

`python -m events.schema` writes it to docs/wire-schema.json.
"""

import json
from pathlib import Path
from typing import Final

import msgspec

from events.wire import WireTransaction

PATH: Final = Path("docs/wire-schema.json")


def wire_schema() -> str:
    """The JSON Schema (draft 2020-12) of one wire transaction, as the text of its file.

    What a schema cannot say (bytes of UTF-8, decimals of a currency, times relative to arrival) is
    said in its descriptions, and docs/rejections.md has all of it.
    """
    (root,), definitions = msgspec.json.schema_components(
        [WireTransaction], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        definition["description"] = " ".join(definition["description"].split())
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tillwatch wire transaction, version 1",
        **root,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the schema into the working tree."""
    PATH.write_text(wire_schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
