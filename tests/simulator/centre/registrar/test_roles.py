"""A role that gets a new key and certificate: a power cut leaves the old pair or the new one."""

import os
from typing import Any

import pytest
from cryptography import x509

from agent.adapters.keyfile import TlsFileKey
from simulator.centre.registrar.registrar import opened
from tests.support.enrolled import NOW_NS, Office

CHANGES = ("open", "replace", "unlink", "fsync")


class PowerCut(BaseException):
    """Nothing is done after this, not even what cleans up."""


class Power:
    """Fails at the `cut_at`th of CHANGES to anything on the disk."""

    def __init__(self, patched: pytest.MonkeyPatch, cut_at: int) -> None:
        self.changes, self._cut_at = 0, cut_at
        for name in CHANGES:
            patched.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Any) -> Any:
        def call(*words: Any, **options: Any) -> Any:
            self.changes += 1
            if self.changes >= self._cut_at:
                raise PowerCut
            return real(*words, **options)

        return call


def pair_fits(office: Office, role: str) -> bool:
    certificate = (office.directory / f"{role}.crt").read_bytes()
    key = TlsFileKey.load(office.directory / f"{role}.key")
    return bool(x509.load_pem_x509_certificate(certificate).public_key() == key.public_key())


def test_no_power_cut_takes_a_role_its_pair(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut at each change: who opens the folder next finds a key and a certificate that fit, and can
    issue the role anew."""
    cut_at, is_cut = 0, True
    while is_cut:
        cut_at, is_cut = cut_at + 1, False
        with opened(office.directory) as registrar, monkeypatch.context() as patched:
            Power(patched, cut_at)
            try:
                registrar.revoke("broker", NOW_NS)
            except PowerCut:
                is_cut = True
        with opened(office.directory):
            assert pair_fits(office, "broker"), cut_at
        assert not list(office.directory.glob("*.next"))
    assert cut_at > 10
    office.revoke("broker")
    assert pair_fits(office, "broker")


def test_a_key_left_over_is_not_taken_for_the_roles(office: Office) -> None:
    """Its certificate was never written, so it is nobody's."""
    before = (office.directory / "broker.key").read_bytes()
    TlsFileKey.create(office.directory / "broker.key.next")
    with opened(office.directory):
        pass
    assert (office.directory / "broker.key").read_bytes() == before
    assert not (office.directory / "broker.key.next").exists()
