"""Digests are sha256, whatever the length asked for."""

from schemas.digest import digest


def test_a_digest_is_the_beginning_of_the_sha256_of_text_and_bytes_alike():
    # The first test vector of FIPS 180: "abc".
    whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest("abc") == digest(b"abc") == whole
    assert digest("abc", 16) == "ba7816bf8f01cfea"
