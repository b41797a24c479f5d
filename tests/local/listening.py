"""Where a process listens, read from the kernel."""

import ipaddress
from pathlib import Path


def listening(pid: int) -> set[str]:
    """The addresses that `pid` has TCP listeners at."""
    sockets = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(handle.readlink())
        except FileNotFoundError:
            continue
        if name.startswith("socket:["):
            sockets.add(name.removeprefix("socket:[").removesuffix("]"))
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                addresses.add(_address(fields[1].split(":")[0]))
    return addresses


def _address(text: str) -> str:
    words = [bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
