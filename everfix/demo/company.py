"""The cast of the simulated company: Fernhollow, a made-up grocer that delivers; its teams, services and the tools they use. Data only."""

from __future__ import annotations

from dataclasses import dataclass

NAME = "Fernhollow"
DOMAIN = "fernhollow.example"
NOTICE = "Simulated data: Fernhollow and everything that fails there are made up."


@dataclass(frozen=True, slots=True)
class Team:
    """A team that owns services; `people` write its tickets and releases."""

    name: str
    project: str  # the key of its tickets
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A deployable. `releases` per week; `major` and `minor` start its version numbers."""

    name: str
    team: str
    language: str
    releases: float
    major: int
    minor: int
    tier: int


TEAMS = (
    Team("Storefront", "WEB", ("Ines Marlow", "Tobias Renn", "Aisha Karim", "Luca Ferrante")),
    Team("Checkout & Payments", "PAY", ("Noor van Dijk", "Henrik Aas", "Priya Raman", "Marek Dvorak")),
    Team("Supply & Delivery", "SUP", ("Joana Pires", "Emil Sandberg", "Wanjiru Otieno", "Theo Lambert")),
    Team("Accounts", "ACC", ("Selma Bakker", "Ravi Menon", "Chloe Whitfield")),
    Team("Data", "DATA", ("Yuki Tanabe", "Oskar Lind", "Beatriz Cano", "Farid Haddad")),
    Team("Platform", "PLAT", ("Greta Holm", "Samuel Okafor", "Mirela Popa", "Dylan Reyes")),
)

SERVICES = (
    Service("storefront-web", "Storefront", "typescript", 4.0, 6, 12, 1),
    Service("mobile-api", "Storefront", "typescript", 2.5, 3, 40, 1),
    Service("catalog-search", "Storefront", "java", 1.2, 2, 8, 2),
    Service("checkout", "Checkout & Payments", "java", 2.0, 5, 21, 1),
    Service("payments", "Checkout & Payments", "java", 1.2, 4, 3, 1),
    Service("pricing", "Checkout & Payments", "go", 1.5, 1, 88, 1),
    Service("ledger", "Checkout & Payments", "csharp", 0.6, 2, 5, 2),
    Service("orders", "Supply & Delivery", "java", 1.8, 7, 2, 1),
    Service("inventory", "Supply & Delivery", "go", 1.4, 2, 31, 1),
    Service("delivery-routing", "Supply & Delivery", "python", 1.1, 0, 57, 2),
    Service("accounts", "Accounts", "go", 1.3, 3, 17, 1),
    Service("notifications", "Accounts", "python", 1.0, 1, 44, 2),
    Service("support-console", "Accounts", "ruby", 0.9, 8, 6, 3),
    Service("recommendations", "Data", "python", 0.8, 0, 23, 3),
    Service("warehouse-etl", "Data", "sql", 1.5, 1, 102, 3),
    Service("edge-gateway", "Platform", "rust", 0.7, 1, 9, 1),
)

TEAM = {team.name: team for team in TEAMS}
SERVICE = {service.name: service for service in SERVICES}

REGIONS = ("eu-west-1", "eu-central-1", "eu-north-1")
CITIES = ("Utrecht", "Antwerp", "Malmö", "Graz", "Porto", "Leipzig", "Gdańsk", "Bergen", "Lille", "Bologna", "Aarhus", "Košice")
BROWSERS = ("Chrome 141", "Chrome 142", "Safari 18.6", "Mobile Safari 18.5", "Firefox 143", "Edge 141", "Samsung Internet 28")
PRODUCTS = (
    "oat drink",
    "rye bread",
    "veg box",
    "gift card",
    "salmon fillet",
    "nappies",
    "espresso beans",
    "party platter",
    "baby spinach",
    "ice cream",
)
PAGES = (
    "basket",
    "checkout",
    "order history",
    "delivery slots",
    "address book",
    "product page",
    "search results",
    "account settings",
    "recipe page",
    "vouchers",
)
