"""The one place that asks OpenSearch, and puts the answers together to what the page shows."""

from collections.abc import Callable
from typing import Any

from console import answers, queries, rates
from console.live import Evidence, Json, Live, PageRow, ShopCount
from console.windows import Window
from consumer import rules
from events.instant import HOUR, SECOND, Instant, to_iso
from sinks.opensearch_client import TransportError  # type: ignore[attr-defined] # of the wrapper

REQUEST_SECONDS_MAX = 5.0
"""What the client should be made with: a page that waits longer had better say so."""

NORMAL_KEPT: Instant = 60 * SECOND
"""What is normal changes slowly: it is asked again after so much wall-clock time, or a new hour."""


class Unavailable(Exception):  # noqa: N818 -- a state that the page shows, not a fault of ours
    """OpenSearch did not answer, or not with an answer; the message may be shown to anyone."""


class Reader:
    """Reads the live view. Safe to call from several threads; keeps only what is normal.

    `client` is an opensearch-py client; `clock` the wall clock; `takes_verdicts` whether the page
    is to offer the buttons; `dashboards` the address of OpenSearch Dashboards, where there is one.
    """

    def __init__(
        self,
        client: Any,
        clock: Callable[[], Instant],
        *,
        takes_verdicts: bool = False,
        dashboards: str | None = None,
    ) -> None:
        self._dashboards = dashboards
        self._takes_verdicts = takes_verdicts
        self._client = client
        self._clock = clock
        self._normal: dict[str, tuple[Instant, Instant, Json]] = {}

    def live(self, chosen: Window) -> Live:
        """Everything on the page, for the window chosen.

        Raises:
            Unavailable: OpenSearch cannot be asked.
        """
        (first,) = self._search([(queries.TRANSACTIONS, queries.newest())])
        newest = answers.newest(first)
        now = newest.instant if newest is not None else 0
        asked = [
            (queries.TRANSACTIONS, queries.window(chosen, now)),
            (queries.PAGES, queries.open_pages()),
            (queries.PAGES, queries.closed_pages()),
            (queries.REJECTIONS, queries.rejections()),
            (queries.OPERATIONS, queries.operations()),
            (queries.VERDICTS, queries.verdicts()),
            (queries.SUPPRESSIONS, rules.given(now)),
        ]
        got = self._search(asked)
        inside, opened, closed, rejected, operations, verdicts, given = got
        said = answers.said(verdicts)
        standing = self._standing(given)
        normal = self._normal_of(chosen, now) if newest is not None else {}
        current = answers.shop_counts(inside)
        return Live(
            window=chosen.name,
            served_at=to_iso(self._clock()),
            now=to_iso(now) if newest is not None else None,
            since=to_iso(chosen.start(now)) if newest is not None else None,
            ahead=newest.ahead if newest is not None else 0,
            complete=all(answers.complete(answer) for answer in (first, *got)),
            totals=answers.totals(inside, rates.pooled(normal)),
            rates=answers.rates(inside, chosen, now),
            shops=rates.against_normal(current, normal),
            shops_total=len(current),
            open_pages=answers.pages(opened, said, standing, now, self._dashboards),
            open_total=answers.total(opened),
            closed_pages=answers.pages(closed, said, standing, now, self._dashboards),
            closed_total=answers.total(closed),
            verdicts=answers.verdicts(verdicts, is_open=self._takes_verdicts),
            rejections=answers.rejections(rejected),
            rejections_total=answers.total(rejected),
            shards=answers.shards(operations),
            indexed=answers.total(first),
        )

    def now(self) -> Instant | None:
        """The newest event time, None where there is no transaction.

        Raises:
            Unavailable: OpenSearch cannot be asked.
        """
        (answer,) = self._search([(queries.TRANSACTIONS, queries.newest())])
        newest = answers.newest(answer)
        return None if newest is None else newest.instant

    def page(self, page_id: str) -> PageRow | None:
        """The page of that id, None where there is none.

        Raises:
            Unavailable: OpenSearch cannot be asked.
        """
        (found,) = self._search([(queries.PAGES, queries.page(page_id))])
        pages = answers.pages(found)
        return pages[0] if pages else None

    def linked(self, page_id: str) -> PageRow | None:
        """The page of that id as it is shown, open or not; None where there is none.

        Raises:
            Unavailable: OpenSearch cannot be asked.
        """
        now = self.now() or 0
        found, verdicts, given = self._search(
            [
                (queries.PAGES, queries.page(page_id)),
                (queries.VERDICTS, queries.page(page_id)),
                (queries.SUPPRESSIONS, rules.given(now)),
            ]
        )
        said, standing = answers.said(verdicts), self._standing(given)
        pages = answers.pages(found, said, standing, now, self._dashboards)
        return pages[0] if pages else None

    def _standing(self, given: Json) -> tuple[rules.Rule, ...]:
        """The rules of an answer, each with whether it was lifted."""
        found = rules.rules(given)
        if not found:
            return ()
        (lifted,) = self._search([(queries.SUPPRESSIONS, rules.lifts(found))])
        return rules.with_lifts(found, lifted)

    def evidence(self, page_id: str) -> Evidence | None:
        """The transactions behind a page, worst first; None where there is no such page.

        Raises:
            Unavailable: OpenSearch cannot be asked.
        """
        page = self.page(page_id)
        if page is None:
            return None
        ids = page.evidence
        (transactions,) = self._search([(queries.TRANSACTIONS, queries.evidence(ids))])
        return Evidence(page_id, answers.evidence(transactions, ids))

    def _normal_of(self, chosen: Window, now: Instant) -> dict[str, ShopCount]:
        hour, asked_at = chosen.start(now) // HOUR, self._clock()
        kept = self._normal.get(chosen.name)
        if kept is None or kept[0] != hour or asked_at - kept[1] >= NORMAL_KEPT:
            (answer,) = self._search([(queries.TRANSACTIONS, queries.normal(chosen, now))])
            kept = hour, asked_at, answer
            self._normal[chosen.name] = kept
        return answers.shop_counts(kept[2])

    def _search(self, asked: list[tuple[str, Json]]) -> list[Json]:
        """One round trip for all of `asked`, answers in the same order."""
        lines: list[Json] = []
        for index, body in asked:
            lines.append({"index": index, "ignore_unavailable": True, "allow_no_indices": True})
            lines.append(body)
        try:
            answer = self._client.msearch(body=lines)
        except TransportError as error:
            raise Unavailable(f"OpenSearch does not answer ({type(error).__name__}).") from error
        responses: list[Json] = answer["responses"]
        for response in responses:
            if "error" in response:
                kind = response["error"].get("type", "unknown")
                raise Unavailable(f"OpenSearch refused a search ({kind}).")
        return responses
