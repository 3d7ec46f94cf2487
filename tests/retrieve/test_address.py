"""Secrets come into an address from the environment, and out of what is shown."""

import pytest

from sadari.errors import ConfigError
from sadari.retrieve.address import fill_address, shown_address


def test_a_value_is_escaped_inside_an_address_and_taken_as_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "a@b/?c")
    monkeypatch.setenv("SHOP", "postgresql://u:p@host/shop")
    assert fill_address("postgresql://u:${SHOP_PASSWORD}@host/shop") == "postgresql://u:a%40b/%3Fc@host/shop"
    assert fill_address("${SHOP}") == "postgresql://u:p@host/shop"
    assert fill_address("postgresql://${SHOP_HOST:-localhost:5432}/shop") == "postgresql://localhost:5432/shop"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"postgresql://host/shop: the environment variable SHOP_PASSWORD is not set"):
        fill_address("postgresql://u:${SHOP_PASSWORD}@host/shop")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:secret@host:5432/shop?password=secret", "postgresql://host:5432/shop"),
        ("postgresql://u:sec@ret@host/shop", "postgresql://host/shop"),
        ("milvus+http://root:secret@host:19530", "milvus+http://host:19530"),
        ("folder/of@index", "folder/of@index"),
    ],
)
def test_what_is_shown_holds_no_secret(address: str, shown: str) -> None:
    assert shown_address(address) == shown
