"""A node with a certificate that the broker must not take, or before a broker not to be trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fortress import Fortress, fortress_in, open_doors
from tests.support.network import Network


@pytest.fixture
def fortress(tmp_path: Path) -> Iterator[Fortress]:
    with fortress_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("none", "set broker.certificate and its key"),
        ("expired", "this node's certificate ended"),
        ("early", "or its clock is before 20"),
        ("revoked", "this node's certificate was revoked: enrol this node again"),
        ("another authority's", "another authority made this node's certificate"),
        ("foreign broker", "is broker.ca the authority of this broker?"),
    ],
)
def test_a_bad_certificate_delays_but_loses_nothing(
    tmp_path: Path, fortress: Fortress, kind: str, told: str
) -> None:
    """The log says what to put right; until then records wait, and then they arrive.

    Now and then the broker's reset overtakes its alert, and that attempt can only say "hung up".
    """
    bad, good = fortress.credentials(kind), fortress.credentials("good")
    open_doors(fortress)
    side_url = fortress.broker.url
    shut_out = Network(tmp_path, fortress.front_url, side_url, **bad)
    shut_out.append(3)
    reasons = shut_out.link.reasons
    shut_out.until(lambda: sum(told in reason for reason in reasons) == 2, "two told refusals")
    assert all(told in reason or "hung up" in reason for reason in reasons), reasons
    assert shut_out.uplink.counters.published == 0
    shut_out.centre.kill()
    assert shut_out.centre.held() == []
    shut_out.close()
    admitted = Network(tmp_path, fortress.front_url, side_url, **good)
    assert admitted.settle() == [1, 2, 3]
    admitted.close()
