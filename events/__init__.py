"""The words of Tillwatch as frozen types, and the wire schema. No I/O."""
