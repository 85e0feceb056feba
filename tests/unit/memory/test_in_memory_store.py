import pytest

from memory.stores.in_memory import InMemoryStore
from tests.contracts.sample_store import SampleStoreContract


class TestInMemoryStore(SampleStoreContract):
    trials = 5000

    @pytest.fixture
    def store(self) -> InMemoryStore:
        return InMemoryStore()
