import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.correction import Correction, CorrectionError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def fix(data: bytes, *assignments: str, unset: tuple[str, ...] = ()) -> bytes:
    return Correction(assignments, unset).apply(data)


@pytest.mark.parametrize(
    ("assignment", "made"),
    [
        ("total=24.990", b'{"total":24.990,"lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ("total=-1e3", b'{"total":-1e3,"lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ('total="24.99"', b'{"total":"24.99","lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ("total=GBP 5", b'{"total":"GBP 5","lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ("total=", b'{"total":"","lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ("total=NaN", b'{"total":"NaN","lines":[{"item_id":"1"},{"item_id":"2"}]}'),
        ("lines=[]", b'{"total":1,"lines":[]}'),
        ("lines[1].item_id=7", b'{"total":1,"lines":[{"item_id":"1"},{"item_id":7}]}'),
        ("lines[0]=null", b'{"total":1,"lines":[null,{"item_id":"2"}]}'),
        ("a.b=x=y", b'{"total":1,"lines":[{"item_id":"1"},{"item_id":"2"}],"a":{"b":"x=y"}}'),
    ],
)
def test_a_field_is_set(assignment: str, made: bytes) -> None:
    assert fix(b'{"total": 1, "lines": [{"item_id":"1"},{"item_id":"2"}]}', assignment) == made


def test_every_digit_and_the_order_stay_as_they_were() -> None:
    data = b'{"z":1.10,"a":123456789012345678901234567890.000,"n":-0.0,"total":1E+2,"y":"\\u00e9"}'
    assert fix(data, "x=1") == (
        b'{"z":1.10,"a":123456789012345678901234567890.000,"n":-0.0,"total":1E+2,"y":"\xc3\xa9",'
        b'"x":1}'
    )
    assert fix(b'{"n":' + b"9" * 5_000 + b"}", "x=1") == b'{"n":' + b"9" * 5_000 + b',"x":1}'


def test_nothing_to_correct_changes_nothing() -> None:
    assert fix(b"\xff no JSON at all") == b"\xff no JSON at all"
    assert not Correction()


@pytest.mark.parametrize(
    ("unset", "made"),
    [
        ("b", b'{"a":{"c":1},"l":[1,2]}'),
        ("a.c", b'{"a":{},"b":2,"l":[1,2]}'),
        ("l[0]", b'{"a":{"c":1},"b":2,"l":[2]}'),
        ("l[9]", b'{"a":{"c":1},"b":2,"l":[1,2]}'),
        ("a.x.y", b'{"a":{"c":1},"b":2,"l":[1,2]}'),
        ("b.c", b'{"a":{"c":1},"b":2,"l":[1,2]}'),
        ("a[0]", b'{"a":{"c":1},"b":2,"l":[1,2]}'),
    ],
)
def test_a_field_is_taken_away(unset: str, made: bytes) -> None:
    assert fix(b'{"a":{"c":1},"b":2,"l":[1,2]}', unset=(unset,)) == made


@pytest.mark.parametrize(
    "wrong", ["total", "=5", "a..b=1", "lines[x]=1", "lines[-1]=1", "[0]=1", "a.=1"]
)
def test_a_path_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(CorrectionError):
        Correction([wrong])


@pytest.mark.parametrize(
    ("data", "assignment", "words"),
    [
        (b"[1]", "a=1", "no JSON object"),
        (b"", "a=1", "--record"),
        (b"\xff", "a=1", "--record"),
        (b'{"a": NaN}', "a=1", "--record"),
        (b"\xef\xbb\xbf{}", "a=1", "--record"),
        (b"[" * 40 + b"]" * 40, "a=1", "too deep"),
        (b'{"total": "secret"}', "total.x=1", "total.x: there is no object"),
        (b'{"total": "secret"}', "total[0]=1", r"total\[0\]: there is no element"),
        (b'{"lines": []}', "lines[0].a=1", r"lines\[0\].a: there is no element"),
        (b"{}", "lines[0]=1", "no list"),
        (b'{"total":1,"total":2}', "shop_id=s", "total stands there twice"),
        (b'{"total":"\\ud800"}', "shop_id=s", "surrogate"),
    ],
)
def test_what_does_not_fit_the_record_is_refused_without_quoting_it(
    data: bytes, assignment: str, words: str
) -> None:
    with pytest.raises(CorrectionError, match=words) as refused:
        fix(data, assignment)
    assert "secret" not in str(refused.value)


def test_of_a_field_that_stands_twice_one_says_which() -> None:
    assert fix(b'{"total":1,"total":2}', "total=3") == b'{"total":3}'


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=5), VALUES)
def test_only_what_is_set_changes(document: dict[str, object], value: object) -> None:
    made = fix(json.dumps(document).encode(), f"field={json.dumps(value)}")
    assert json.loads(made) == document | {"field": value}
