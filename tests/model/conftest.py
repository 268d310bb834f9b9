"""A prepared small source."""

from __future__ import annotations

import pytest

from synthrec.data.catalogue import Catalogue
from synthrec.data.schema import Schema
from tests.model.small import prepared


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Catalogue]:
    return prepared(tmp_path_factory.mktemp("source"))
