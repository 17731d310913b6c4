"""Seeds made once and never overwritten, signatures, sealed secrets."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zosfsm.grid.errors import IdentityInvalid, SecretUnreadable
from zosfsm.grid.identity import Identity, seal_to, verify

# RFC 8032, section 7.1, test 1
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def test_signatures_are_those_of_rfc_8032() -> None:
    identity = Identity.from_seed(SEED)
    assert identity.sign(b"") == SIGNATURE
    assert verify(identity.identifier, b"", SIGNATURE)


def test_a_seed_is_made_once_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "identity.seed"
    first = Identity.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.stat().st_size == 32
    assert Identity.load_or_create(path).identifier == first.identifier
    assert list(path.parent.iterdir()) == [path]


def test_those_who_make_it_at_the_same_moment_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "identity.seed"
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(Identity.load_or_create(path).identifier)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, b"x" * 33, b"x" * 100_000, bytes(32)])
def test_a_file_that_is_no_seed_is_an_error_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "identity.seed"
    path.write_bytes(content)
    with pytest.raises(IdentityInvalid, match="restore the file") as refusal:
        Identity.load_or_create(path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content


def test_a_seed_that_cannot_be_read_or_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "identity.seed"):
        with pytest.raises(IdentityInvalid):
            Identity.load_or_create(path)


def test_the_seed_is_in_no_text() -> None:
    identity = Identity.from_seed(SEED)
    assert SEED.hex() not in repr(identity) + str(identity)
    assert repr(SEED) not in repr(identity)
    assert "_key" not in repr(identity)


@given(st.text(), st.binary(), st.binary())
def test_verifying_never_raises(identifier: str, content: bytes, signature: bytes) -> None:
    assert not verify(identifier, content, signature)


@given(st.binary(), st.integers(0, 63), st.integers(1, 255))
def test_a_changed_signature_does_not_hold(content: bytes, position: int, flip: int) -> None:
    identity = Identity.from_seed(SEED)
    signature = bytearray(identity.sign(content))
    signature[position] ^= flip
    assert not verify(identity.identifier, content, bytes(signature))


def test_an_identifier_has_one_spelling() -> None:
    identifier = Identity.from_seed(SEED).identifier
    for other in (identifier + " ", " " + identifier, "1" + identifier, identifier[:-1], identifier.lower()):
        assert not verify(other, b"", SIGNATURE)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_only_the_addressee_opens_a_sealed_secret(text: str) -> None:
    addressee, other = Identity.from_seed(SEED), Identity.from_seed(b"x" * 32)
    sealed = seal_to(addressee.identifier, text)
    assert sealed == sealed.lower()
    assert addressee.unseal(sealed) == text
    assert addressee.unseal(sealed.upper()) == text
    with pytest.raises(SecretUnreadable):
        other.unseal(sealed)


@given(st.text())
def test_what_is_no_sealed_secret_is_refused(text: str) -> None:
    with pytest.raises(SecretUnreadable):
        Identity.from_seed(SEED).unseal(text)


@pytest.mark.parametrize("identifier", ["", "1" * 32, "0OIl", "x" * 44, "1" * 100_000])
def test_nothing_is_sealed_to_what_is_no_key(identifier: str) -> None:
    with pytest.raises(IdentityInvalid):
        seal_to(identifier, "text")
