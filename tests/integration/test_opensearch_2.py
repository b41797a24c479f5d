"""OpenSearch 2.x: what is shown on the release of the demo is shown on the one before it, too.

The tests are those of other files, over a node of 2.19: mappings and documents, what every sink
promises, bad situations, templates and policies, retention, and the live view's questions.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from local.aws import AwsEndpoint
from local.opensearch import OPENSEARCH_2, OpenSearchNode
from local.stack import Stack
from tests.consumer import test_opensearch_apply as applying
from tests.contracts import test_sinks as contract
from tests.sinks import test_bad_situations_at_a_node as bad
from tests.sinks import test_retention as kept
from tests.sinks import test_templates as mapped

pytestmark = [pytest.mark.integration, pytest.mark.thorough]


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchNode]:
    with OpenSearchNode(tmp_path_factory.mktemp("opensearch-2"), release=OPENSEARCH_2) as node:
        yield node


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, aws: AwsEndpoint, opensearch: OpenSearchNode
) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack-2"), aws=aws, node=opensearch) as running:
        yield running


@pytest.fixture
def place(stack: Stack) -> Iterator[Any]:
    made = contract.OpenSearchPlace(stack)
    yield made
    made.sink.close()
    made.end()


def test_it_is_the_release_before(stack: Stack) -> None:
    client = stack.search_client()
    assert client.info()["version"]["number"].startswith("2.")
    client.close()


client = applying.client


class TestMapped(mapped.TestAtANode):
    """Templates and documents."""


class TestContract:
    """What every sink promises."""

    test_written = staticmethod(contract.test_what_is_written_is_there)
    test_again = staticmethod(contract.test_writing_the_same_batch_again_changes_nothing)
    test_trouble = staticmethod(contract.test_trouble_that_passes_is_waited_out)
    test_refused = staticmethod(contract.test_what_is_refused_for_good_comes_back_and_nothing_else)


class TestBad:
    """Bad situations."""

    test_waits = staticmethod(bad.test_it_waits_says_what_to_mend_and_goes_on_when_it_is_mended)


class TestApplied:
    """`tillwatch opensearch apply` and `tillwatch retention`."""

    test_made = staticmethod(applying.test_it_is_shown_then_made_and_then_the_same)
    test_lacks = staticmethod(applying.test_an_index_that_is_there_gets_what_it_lacks)
    test_cannot = staticmethod(
        applying.test_what_cannot_be_mended_in_place_is_said_and_the_rest_is_made
    )
    test_policies = staticmethod(applying.test_policies_are_made_changed_and_put_on_indices)
    test_deleted = staticmethod(
        applying.test_retention_shows_then_deletes_and_refuses_to_delete_most
    )
    test_kept = staticmethod(kept.test_at_a_node_the_old_go_and_nothing_else)
