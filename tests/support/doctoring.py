"""Changing stored bytes so that their own checksums still hold."""

import zlib

_CRC_SIZE = len(b',"crc":"00000000"}')


def at(line: bytes, seq: int) -> bytes:
    """Return an event's line as it would be at another place of the journal."""
    checked = b'{"seq":%d,%b' % (seq, line[line.index(b'"event_id"') : -_CRC_SIZE])
    return b'%b,"crc":"%08x"}' % (checked, zlib.crc32(checked))
