"""Failures that happen once: tickets, slips and hiccups with no cause behind them that would come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from everfix.demo import company
from everfix.demo.causes import Voice


class Oneoff(NamedTuple):
    """A failure that stands alone."""

    service: str
    severity: str
    environment: str
    voice: Voice


TICKETS = (
    (
        "storefront-web",
        "Back button from the {page} loses the {filter|scroll position|chosen slot|note to the driver}",
        "{browser}. Not seen by us, {2|3} customers in {city} wrote.",
    ),
    (
        "storefront-web",
        "Cookie banner comes back after {logging out|changing the language|a private window|the app link} ({browser})",
        "Legal asks for a date.",
    ),
    (
        "catalog-search",
        'Filter "{vegan|gluten-free|local|on offer|frozen}" also shows {product}',
        "Tag set by hand in the master data, {sku}. Removed.",
    ),
    (
        "catalog-search",
        "{product} ranks behind {recipes|gift cards|sold-out articles} in {city}",
        "Boost of the {spring|autumn|summer} campaign was still on.",
    ),
    ("mobile-api", "Widget shows the delivery of {date} as today", "Phone of a colleague was set to another zone. Reinstall helped."),
    (
        "mobile-api",
        "Barcode of {product} opens {another article|an empty page|the recipe of the week}",
        "EAN was reused by the supplier, {sku}.",
    ),
    (
        "checkout",
        "Order note with {a line break|an emoji|200 characters|only spaces} is cut on the picking slip",
        "Store {store}, order {order}. Slip layout, not the data.",
    ),
    (
        "payments",
        'Refund of {2-60}.{10-99} EUR shows as "pending" for {6-15} days at a bank in {city}',
        "Settled at our side on {date}. Told the customer to ask the bank.",
    ),
    (
        "pricing",
        "Shelf label of {product} in store {store} shows the price of {last week|the multipack|another store}",
        "Label battery. Store replaced it.",
    ),
    ("orders", "Order {order} was packed without {product}", "Picker confirmed it as packed. Crate photo shows it was not there."),
    (
        "delivery-routing",
        "Van of depot {city} planned with {a closed tail lift|no fridge|two drivers|yesterday's battery level}",
        "Master data of the vehicle corrected.",
    ),
    ("accounts", "Household invitation to {user} landed in the wrong household", "Old address book on a shared tablet. Undone by hand."),
    (
        "storefront-web",
        "{page}: the {label|hint|button|heading|price|badge} overlaps the {picture|menu|total|footer|banner} on {browser}",
        "Only at a width of {320-1440} px. Screenshot attached, reported by a colleague from {city}.",
    ),
    (
        "storefront-web",
        "Wrong {picture|allergen list|unit price|nutrition table} for {product} ({sku})",
        "The supplier sent the wrong file. Corrected in the catalogue, please clear the cache.",
    ),
    (
        "storefront-web",
        "Screen reader reads the {stepper|filter|date picker|rating|tabs|slider} of the {page} twice",
        "NVDA with {browser}. Found in the audit of {date}.",
    ),
    (
        "catalog-search",
        'Searching "{oat|hafer|haver|avena|owies} {product}" finds nothing in {city}',
        "Works with the plural. Synonyms of the language are probably missing.",
    ),
    (
        "mobile-api",
        "Push after a {refund|gift|swap|tip|return} opens the {page} instead of the order",
        "Android {13-16}, app {7|8}.{0-40}. Nice to have.",
    ),
    (
        "checkout",
        "{Company|Gift|Donation|Deposit} order in {city} asks for the {phone number|date of birth|floor} twice",
        "Customer {user} gave up at the second time. One case so far.",
    ),
    (
        "orders",
        "Substitute for {product} was {twice as large|not vegetarian|the same article|out of date}",
        "Picker chose by hand in store {store}. Refunded {2-19}.{10-99} EUR.",
    ),
    (
        "delivery-routing",
        "Driver in {city} sent to the {back door|wrong side of the canal|old depot|closed bridge} of {zip}",
        "Order {order}. Map data of the provider, sent a correction.",
    ),
    (
        "inventory",
        "Stock of {product} in store {store} is {negative|twice the shelf|a week old}",
        "Counted by hand on {date}. No other article affected.",
    ),
    (
        "notifications",
        "Mail of the {spring|autumn|recycling|birthday|survey} campaign shows {a broken picture|two greetings|the wrong city|no unsubscribe link}",
        "Template was fixed before the second batch ({2000-40000} sent).",
    ),
    (
        "support-console",
        "Cannot {merge|export|print|translate|reassign} cases with {more than 50 notes|an emoji|two attachments|a deleted customer}",
        "Agent {10-99} worked around it.",
    ),
    ("ledger", "Invoice {order} to {city} has {the wrong VAT rate|no cost centre|two page ones|yesterday's date}", "Corrected by finance."),
    (
        "accounts",
        "{user} cannot {change the mail address|delete the account|join a household|turn off two-factor}",
        "Data was left from the migration of {2021|2022|2023}. Fixed by hand.",
    ),
    (
        "recommendations",
        "{page} suggests {product} to customers who {hide it|are allergic|bought ten of it}",
        "One segment only, report of {date}.",
    ),
)
PAGES = (
    (
        "catalog-search",
        "Reindex of {bakery|dairy|frozen|household} started twice ({region})",
        "{person} and the schedule. Second run cancelled after {4-40} min.",
    ),
    (
        "storefront-web",
        "CDN configuration of {city} point of presence serves {stale pages|gzip twice|no fonts}",
        "Purged by the provider after {12-140} min.",
    ),
    ("mobile-api", "App store review bot hammers /login from {ip}", "{200-900} requests/min, blocked for an hour."),
    (
        "delivery-routing",
        "Road closure feed of {city} marks {all|half} of the ring road as closed",
        "Feed ignored until {clock}, {4-60} tours planned again.",
    ),
    ("ledger", "Finance locked the period {date} too early", "{12-90} postings waited until it was opened again."),
    ("recommendations", "Training of {date} stopped: spot instances withdrawn in {region}", "Repeated on demand, model {2-9} h late."),
    (
        "support-console",
        "Telephone bridge of the care centre in {city} down",
        "Provider fixed a wrong route after {20-180} min. Chat took over.",
    ),
    ("edge-gateway", "Anycast route of {region} flaps with a peer in {city}", "Peering shut for {1-5} h."),
    ("inventory", "Handhelds of store {store} offline: access point replaced with the wrong profile", "Back after {30-200} min."),
    ("payments", "Chargeback file of {date} arrived twice", "Second file set aside by finance, nothing booked."),
    (
        "warehouse-etl",
        "Column {loyalty_tier|slot_type|vat_code|fleet} renamed at the source without notice",
        "Mapped by hand, {3-12} models late by {1-6} h.",
    ),
    ("orders", "Fire drill in store {store}: {20-160} orders picked {1|2} h late", "Planned, but not in the calendar."),
    (
        "notifications",
        "Push certificate check failed once for {chrome|ios|android}",
        "Provider had an expired intermediate for {9-50} min.",
    ),
    ("edge-gateway", "Fibre cut near {city}: packet loss {6-40}% to {region}", "Provider ticket {order}. Traffic moved for {20-190} min."),
    (
        "pricing",
        "Price import of {supplier|category|store} {100-999} took {40-190} min instead of {4-9}",
        "File had {2-9} million rows by mistake; sender informed.",
    ),
    (
        "checkout",
        "Load test against production by mistake ({region})",
        "{1200-9000} requests/s from {ip} for {2-20} min. Stopped by the person who started it.",
    ),
    (
        "accounts",
        "Credential stuffing from AS{10000-60000}: {12-90}k logins in {5-50} min",
        "Blocked at the edge. {0-14} accounts locked and informed.",
    ),
    ("orders", "Power failure in store {store}, {city}", "Picking by paper until {clock}. Back after {1-6} h."),
    (
        "payments",
        "{Wallet|Bank transfer|Meal voucher|Gift card} provider announced maintenance one day late",
        "Method hidden for {40-200} min.",
    ),
    (
        "warehouse-etl",
        "Warehouse credits used up on day {12-29} by query {hex8}",
        "A cross join in a notebook. Query cancelled, limit per user set for {person}.",
    ),
    ("inventory", "Node {node} lost: hardware event announced by the provider", "Pods moved in {2-14} min, {0-3} reservations retried."),
    (
        "notifications",
        "Mail provider deferred {2000-90000} messages to {one|two|three} domains",
        "421 4.7.0 try again later. Delivered within {1-9} h.",
    ),
)
SLIPS = (
    ("github_actions", "lint / {ruff|eslint|golangci-lint|clippy|rubocop}", "{branch}: {1-40} findings in {noun}_{verb}", "lint"),
    ("github_actions", "build / compile", "{noun}.{verb} is not defined (pull request {100-2400})", "compile error"),
    ("jenkins", "{noun}-build » {noun2}Test.{verb}s{Noun}", "expected: <{1-90}> but was: <{100-190}>", "AssertionError"),
    (
        "github_actions",
        "test / {noun} {verb}s the {noun2}",
        "AssertionError: expected {noun2} to {verb2}, pull request {100-2400} changed it on purpose",
        "AssertionError",
    ),
    ("github_actions", "deploy / {staging|preview} of {noun}-{verb}", "The operation was canceled by {person}.", "canceled"),
    (
        "dbt_cloud",
        "Compilation Error in model stg_{noun}_{verb}s",
        "depends on a node named 'raw_{noun2}_{verb2}' which was not found",
        "Compilation Error",
    ),
)
NOUNS = [
    "basket",
    "aisle",
    "pallet",
    "coupon",
    "receipt",
    "crate",
    "recipe",
    "courier",
    "shelf",
    "refund",
    "invoice",
    "label",
    "driver",
    "depot",
    "tariff",
    "parcel",
    "ledger",
    "voucher",
    "route",
    "window",
    "locker",
    "badge",
    "quota",
    "banner",
    "palette",
    "bundle",
    "cohort",
    "digest",
    "token",
]
VERBS = [
    "merge",
    "load",
    "split",
    "render",
    "parse",
    "publish",
    "resolve",
    "count",
    "expire",
    "rank",
    "match",
    "assign",
    "fold",
    "index",
    "import",
    "archive",
    "sync",
    "quote",
    "print",
    "reserve",
]
ERRORS = {
    "python": ("ValueError", "TypeError", "AttributeError", "RuntimeError", "LookupError"),
    "java": (
        "java.lang.IllegalStateException",
        "java.lang.NullPointerException",
        "java.lang.ClassCastException",
        "java.lang.NumberFormatException",
    ),
    "typescript": ("TypeError", "RangeError", "SyntaxError", "ReferenceError"),
    "go": ("errors.errorString", "json.SyntaxError", "strconv.NumError"),
}
SAYS = (
    "{noun} {n} cannot {verb} {noun2}",
    "unexpected {noun} while {noun2} {verb}s",
    "{noun2} of {noun} is empty",
    "no {noun} to {verb} for {noun2}",
    "cannot {verb} {noun} after {noun2} was {verb2}ed",
)


def several(random: Random, count: int) -> Iterator[Oneoff]:
    """Make up failures that stand alone; a ticket or page is told a few times at most, or it would be a pattern."""
    most = max(3, count // 200)
    told: Counter[str] = Counter()
    for _ in range(count):
        draw = random.random()
        found = _crash(random)
        if draw < 0.3:
            service, title, body = random.choice(TICKETS)
            found = Oneoff(service, random.choice(("p3", "p4", "p4")), "production", Voice("jira", 1.0, title, body))
        elif draw < 0.4:
            service, title, body = random.choice(PAGES)
            source = random.choice(("pagerduty", "opsgenie", "datadog"))
            found = Oneoff(service, random.choice(("p2", "p3", "p3", "p4")), "production", Voice(source, 1.0, title, body))
        elif draw < 0.66:
            found = _slip(random)
        told[found.voice.title] += 1
        yield found if told[found.voice.title] <= most else _crash(random)


def _slip(random: Random) -> Oneoff:
    source, title, body, error = random.choice(SLIPS)
    service = "warehouse-etl" if source == "dbt_cloud" else random.choice(company.SERVICES).name
    words = _words(random)
    voice = Voice(source, 1.0, _said(title, words), _said(body, words), error)
    return Oneoff(service, random.choice(("p3", "p4", "p4")), "warehouse" if source == "dbt_cloud" else "ci", voice)


def _words(random: Random) -> dict[str, str]:
    noun, other = random.sample(NOUNS, 2)
    verb, verb2 = random.sample(VERBS, 2)
    return {"noun": noun, "noun2": other, "verb": verb, "verb2": verb2, "Noun": noun.title(), "n": str(random.randint(2, 9_000))}


def _said(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text


def _crash(random: Random) -> Oneoff:
    service = random.choice([service for service in company.SERVICES if service.language in ERRORS])
    words = _words(random)
    error = random.choice(ERRORS[service.language])
    message = _said(random.choice(SAYS), words)
    trace = _TRACES[service.language](random, service.name.split("-", maxsplit=1)[0], words, f"{error}: {message}")
    short = error.rpartition(".")[2]
    voice = Voice("sentry", 1.0, f"{short}: {message}", message, error, trace)
    return Oneoff(service.name, random.choice(("p3", "p4", "p4")), random.choice(("production", "production", "staging")), voice)


def _python(random: Random, package: str, words: dict[str, str], error: str) -> str:
    frames = [(words["noun"], words["verb"]), (words["noun2"], words["verb2"]), (f"{words['noun']}_{words['noun2']}", "run")]
    lines = [
        f'  File "/app/{package}/{module}.py", line {random.randint(9, 400)}, in {name}\n    return {name}_{words["noun2"]}({words["noun"]})'
        for module, name in reversed(frames)
    ]
    return "Traceback (most recent call last):\n" + "\n".join(lines) + f"\n{error}"


def _java(random: Random, package: str, words: dict[str, str], error: str) -> str:
    frames = [(words["Noun"], words["verb"]), (f"{words['noun2'].title()}Service", words["verb2"]), (f"{words['Noun']}Resource", "post")]
    return error + "".join(
        f"\n\tat example.fernhollow.{package}.{words['noun']}.{kind}.{name}({kind}.java:{random.randint(9, 400)})" for kind, name in frames
    )


def _typescript(random: Random, package: str, words: dict[str, str], error: str) -> str:
    frames = [
        (f"{words['verb']}{words['Noun']}", words["noun"]),
        (f"{words['verb2']}All", words["noun2"]),
        ("handler", f"{words['noun']}-{words['noun2']}"),
    ]
    return error + "".join(
        f"\n    at {name} (/srv/{package}/dist/{words['noun2']}/{module}.js:{random.randint(4, 300)}:{random.randint(3, 60)})"
        for name, module in frames
    )


def _go(random: Random, package: str, words: dict[str, str], error: str) -> str:
    frames = [(f"(*{words['Noun']}).{words['verb'].title()}", words["noun"]), (f"(*Server).{words['verb2'].title()}", words["noun2"])]
    lines = [
        f"fernhollow.example/{package}/internal/{module}.{name}(0xc{random.getrandbits(36):09x})\n\t/src/internal/{module}/{module}.go:{random.randint(9, 400)} +0x{random.getrandbits(10):x}"
        for name, module in frames
    ]
    return f"{error}\ngoroutine {random.randint(90, 9000)} [running]:\n" + "\n".join(lines)


_TRACES = {"python": _python, "java": _java, "typescript": _typescript, "go": _go}
