import msgspec
import pytest

from anomaly.at_rest import STATE_BYTES_MAX, packer, unpack
from anomaly.forest import Forest
from anomaly.state import (
    FORMAT,
    ForestState,
    GroupState,
    ShopState,
    StateError,
    decode_group,
    decode_shop,
    encode,
)


def _shop() -> ShopState:
    return ShopState(FORMAT, 1, "GBP", 3, 4, 5)


def test_a_state_comes_back_equal() -> None:
    shop, group = _shop(), GroupState(FORMAT, hours=0.1 + 0.2)
    assert decode_shop(encode(shop)) == shop
    assert decode_group(encode(group)) == group
    assert encode(decode_shop(encode(shop))) == encode(shop)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\x01\x02",
        encode(GroupState(FORMAT)),
        encode(_shop())[:-1],
        packer()(bytes(STATE_BYTES_MAX + 1)),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="not a state of the detector"):
        decode_shop(data)


def test_a_state_that_was_not_compressed_is_read_as_far_as_its_format() -> None:
    plain = unpack(encode(_shop()))
    assert plain == msgspec.msgpack.encode(_shop())
    assert decode_shop(plain) == _shop()


def test_another_format_is_refused() -> None:
    shop = msgspec.structs.replace(_shop(), format=FORMAT + 1)
    with pytest.raises(StateError, match=f"state of format {FORMAT + 1}"):
        decode_shop(encode(shop))
    with pytest.raises(StateError, match="state of format 99"):
        decode_group(encode(GroupState(99)))


def test_a_forest_of_another_shape_is_refused() -> None:
    with pytest.raises(StateError, match="another shape"):
        Forest().load(ForestState(masses=b"\0\0", scores=[0] * 64))
    kept = Forest().dump()
    with pytest.raises(StateError, match="another shape"):
        Forest().load(msgspec.structs.replace(kept, scores=[]))
