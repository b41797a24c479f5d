"""`tillwatch suppress`: rules of which pages nobody is told, put onto the stream."""

import time
from typing import Any

import click

from consumer import rules
from consumer.found_page import Found, look_up, opensearch
from consumer.giver import give_by_command
from consumer.times import SpanType, TimeType
from events.instant import Instant, to_iso
from events.page import Entity
from events.suppression import Lift, Suppression, suppression
from events.verdict import ID_MAX, NOTE_MAX

_READ = {"ignore_unavailable": "true", "allow_no_indices": "true"}


class _EntityType(click.ParamType[Entity]):
    """Whom pages are about, as kind and id, such as cashier:c-41."""

    name = "kind:id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Entity:
        kind, colon, id_ = str(value).partition(":")
        if not (kind and colon and id_):
            self.fail(f"{value!r} is not kind:id, such as cashier:c-41", param, ctx)
        return Entity(kind, id_)


@click.group(invoke_without_command=True)
@click.option("--shop", help="The shop whose pages it is about.")
@click.option("--entity", type=_EntityType(), help="Only pages about this, such as cashier:c-41.")
@click.option("--reason", help="Only pages for this reason, such as volume.")
@click.option("--page", "page_id", help="Instead: shop, entity and reason of this page.")
@click.option("--from", "since", type=TimeType(), help="When it begins; at once if not given.")
@click.option("--until", type=TimeType(), help="When it ends, in event time.")
@click.option("--for", "span", type=SpanType(), help="Or for how long: 90m, 12h, 1d, 2w.")
@click.option("--lift", "rule_id", help="End this rule before its time.")
@click.option("--note", help=f"For people, {NOTE_MAX} characters at most.")
@click.option("--by", help=f"Who says so, {ID_MAX} characters at most.")
@click.option("--print", "print_only", is_flag=True, help="Print the record; put it nowhere.")
@click.pass_context
def suppress(
    ctx: click.Context,
    *,
    shop: str | None,
    entity: Entity | None,
    reason: str | None,
    page_id: str | None,
    since: Instant | None,
    until: Instant | None,
    span: Instant | None,
    rule_id: str | None,
    note: str | None,
    by: str | None,
    print_only: bool,
) -> None:
    """Tell nobody of some pages of a shop for a while, or of one that is known (snooze).

    The rule goes onto the stream (TILLWATCH_STREAM) among the shop's transactions, so that it is
    replayed with them. Such pages are still opened, scored and indexed, with the rule that kept
    them back; they are only not sent. A page that is open when the rule ends is sent again as soon
    as it goes on. Times are event time; --for counts from now, or from --from.
    """
    if ctx.invoked_subcommand is not None:
        return
    now = time.time_ns() // 1_000
    if rule_id is not None:
        if any(value is not None for value in (entity, reason, page_id, since, until, span)):
            raise click.UsageError("--lift takes only --shop, --note, --by and --print")
        _say(Lift(rule_id, shop or _shop_of(rule_id), now, by, note), print_only=print_only)
        return
    if (until is None) == (span is None):
        raise click.UsageError("say when it ends: --until or --for")
    if page_id is not None:
        if shop or entity or reason:
            raise click.UsageError("--page says shop, entity and reason by itself")
        page: Found = look_up(page_id, "name --shop, --entity and --reason instead")
        shop, entity, reason = page.shop_id, page.entity, page.reason
    if shop is None:
        raise click.UsageError("which shop? --shop or --page")
    if until is None:
        until = (now if since is None else since) + (span or 0)
    _say(
        suppression(
            shop,
            until,
            given_at=now,
            entity=entity,
            reason=reason,
            since=since,
            by=by,
            note=note,
        ),
        print_only=print_only,
    )


@suppress.command("list")
@click.option("--shop", help="Only this shop's.")
@click.option("--all", "everything", is_flag=True, help="Also those that ended or were lifted.")
def list_(*, shop: str | None, everything: bool) -> None:
    """List the rules that hold or are to hold, the newest first, as OpenSearch has them.

    What has ended is told by the newest event time in OpenSearch.
    """
    with opensearch("the rules are read from there") as client:
        after = 0 if everything else _newest(client)
        found = rules.rules(_ask(client, rules.given(after, shop)))
        if found:
            found = rules.with_lifts(found, _ask(client, rules.lifts(found)))
    shown = [one for one in found if everything or not one.lifted]
    for one in shown:
        click.echo(rule_text(one))
    if not shown:
        click.echo("No rule.", err=True)


def rule_text(one: rules.Rule) -> str:
    """One rule on one line."""
    about = f"{one.entity.kind} {one.entity.id}" if one.entity else "any entity"
    begin = "" if one.since == one.given_at else f"from {to_iso(one.since)} "
    parts = [
        one.rule_id,
        one.shop_id,
        about,
        one.reason or "any reason",
        begin + f"until {to_iso(one.until)}" + (", lifted" if one.lifted else ""),
    ]
    if one.by:
        parts.append(f"by {one.by}")
    if one.note:
        parts.append(one.note)
    line = "  ".join(parts)
    return "".join(char if char.isprintable() else " " for char in line)


def _say(said: Suppression | Lift, *, print_only: bool) -> None:
    if not give_by_command(said, print_only=print_only):
        return
    if isinstance(said, Lift):
        click.echo(f"{said.rule_id} is lifted in {said.shop_id}", err=True)
    else:
        click.echo(said.rule_id)


def _shop_of(rule_id: str) -> str:
    with opensearch("name the rule's --shop") as client:
        found = rules.rules(_ask(client, rules.rule(rule_id)))
    if not found:
        raise click.ClickException(f"OpenSearch has no rule {rule_id}; name its --shop")
    return found[0].shop_id


def _ask(client: Any, body: rules.Json) -> rules.Json:
    answer: rules.Json = client.search(index=rules.RULES, body=body, params=_READ)
    return answer


def _newest(client: Any) -> Instant:
    """The newest event time, or the clock's where there is no transaction."""
    body = {"size": 0, "aggs": {"newest": {"max": {"field": "occurred_at"}}}}
    answer = client.search(index="transactions-*", body=body, params=_READ)
    value = answer.get("aggregations", {}).get("newest", {}).get("value")
    return time.time_ns() // 1_000 if value is None else int(value) * 1_000
