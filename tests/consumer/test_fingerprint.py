from consumer.fingerprint import Fingerprint

KEY = b"a key for tests only"


def test_equal_records_have_equal_digests_and_others_have_not() -> None:
    fingerprint = Fingerprint(KEY)
    assert fingerprint.of(b"1") == Fingerprint(KEY).of(b"1")
    assert fingerprint.of(b"1") != fingerprint.of(b"2")
    assert len(fingerprint.of(b"")) == 41


def test_digests_under_two_keys_are_not_compared() -> None:
    ours, theirs = Fingerprint(KEY), Fingerprint(b"another key for tests")
    assert ours.of(b"1") != theirs.of(b"1")
    assert ours.can_compare(ours.of(b"1"))
    assert not ours.can_compare(theirs.of(b"1"))
    assert not ours.can_compare("")


def test_a_key_may_be_longer_than_the_hash_takes() -> None:
    assert Fingerprint(b"k" * 200).of(b"1") != Fingerprint(b"k" * 201).of(b"1")
