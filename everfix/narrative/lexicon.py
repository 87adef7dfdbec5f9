"""The words that carry a claim, what each claims, and the words that carry none; read by `claims` and `binding`."""

from __future__ import annotations

UP = frozenset(
    "up rose rise rises risen rising increase increases increased increasing grew grow grows grown growing growth climb climbs climbed climbing higher "
    "gain gained jump jumped jumps surge surged spiked upward upwards uptick".split(),
)
DOWN = frozenset(
    "down fell fall falls fallen falling drop drops dropped dropping decline declines declined declining decrease decreases decreased decreasing "
    "lower reduced reduction shrank shrunk shrinking ease eased easing slipped slid sank dip dipped plunged downward downwards shorter faster".split(),
)
LONGER = frozenset(["longer", "slower"])
MORE = frozenset(["more", "additional"])
FEWER = frozenset(["fewer", "less"])
FLAT = frozenset("flat unchanged steady stable level".split())
BETTER = frozenset("better improved improve improves improving improvement improvements healthier".split())
WORSE = frozenset("worse worsened worsen worsens worsening deteriorated deteriorating deterioration regress".split())
RATIOS = {
    "doubled": (0.9, 1.15), "doubling": (0.9, 1.15), "tripled": (1.8, 2.2), "tripling": (1.8, 2.2), "trebled": (1.8, 2.2), "quadrupled": (2.75, 3.25),
    "halved": (-0.55, -0.45), "halving": (-0.55, -0.45),
}  # bounds of the relative change that each word stands for

# After or before these the direction word is part of an idiom and claims nothing.
IDIOMS = frozenset(
    "follow up|following up|followed up|set up|sets up|up to|break down|breaks down|broke down|broken down|lower bound|upper bound|once more|no more|"
    "any more|more or|what more|drill down|close up|clean up|cleaned up|back up|look up|looked up|picked up|pick up|better to|fall back|falls back|fell back|"
    "make up|makes up|made up|roll up|up front|more detail|more information|come up|comes up|came up|level of|fall due|falls due|fall short|is better|open up|"
    "less likely|more likely|drop in replacement|speed up|ramp up".split("|"),
)

FIRST = frozenset(
    "largest biggest top leading leads lead led leader heads headed tops most highest greatest worst first chief main busiest heaviest costliest riskiest "
    "likeliest longest strongest foremost peak peaks peaked peaking maximum record primary number-one".split(),
)
LAST = frozenset("lowest smallest fewest least quietest weakest shortest minimum trough fastest bottomed".split())
PEAKS = frozenset("peak peaks peaked peaking busiest highest maximum most worst record high largest biggest top".split())
LOWS = frozenset("lowest quietest minimum trough fewest low least smallest bottomed".split())
NOT_A_RANK = frozenset(
    "at most|most recent|most recently|at least|at first|first of|first time|first seen|first half|last half|most often|the most part|lead to|leads to|led to|"
    "lead time|on top|main reason|least squares|track record|record of|on record|first noticed|top of|most of|first week|first day|first report|most unusual".split("|"),
)
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "runner-up": 2,
}

SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
    "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40,
    "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100, "dozen": 12, "couple": 2,
}
FRACTIONS = {"half": 1 / 2, "third": 1 / 3, "thirds": 1 / 3, "quarter": 1 / 4, "quarters": 1 / 4, "fifth": 1 / 5, "fifths": 1 / 5}
SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
NONE = frozenset(["no", "none", "nothing", "neither", "nobody"])
NOT_A_COUNT = frozenset(["no", "the", "any", "each", "every", "this", "that", "another", "which", "at"])  # "the one", "no one", "at one with"

SECONDS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1, "min": 60, "mins": 60, "minute": 60, "minutes": 60, "h": 3600, "hr": 3600, "hrs": 3600,
    "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
}
CURRENCIES = {
    "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "dollar": "USD", "dollars": "USD", "euro": "EUR", "euros": "EUR", "pound": "GBP", "pounds": "GBP",
    "yen": "JPY", "franc": "CHF", "francs": "CHF",
}
MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug", "september sep sept", "october oct",
         "november nov", "december dec"), start=1)
    for name in names.split()
}
WEEKDAYS = {
    name: number
    for number, names in enumerate(("monday mon", "tuesday tue tues", "wednesday wed", "thursday thu thurs", "friday fri", "saturday sat", "sunday sun"))
    for name in names.split()
}

ABOUT = frozenset("about around roughly approximately some circa ~ approx".split())
OVER = frozenset("over above exceeding".split())
UNDER = frozenset("nearly almost under below".split())

# What the words beside a number say it is.
PREVIOUSLY = frozenset("from previously earlier before prior versus vs against compared instead".split())
CURRENTLY = frozenset("to now reached reaching reaches totalled totalling stands".split())
TOGETHER = frozenset("together combined jointly altogether between total sum".split())
WHOLE = frozenset("total overall altogether all workspace-wide listed shown sum whole together combined".split())
AVERAGE = frozenset("average averaged averages mean usual typical typically usually per".split())
UNUSUAL = frozenset("z-score z-scores deviations deviation sigma σ z unusual".split())
LIMIT = frozenset("threshold limit target line ceiling goal".split())
PROJECTED = frozenset("projected projection forecast forecasts expected predicted expect points".split())
HALVES = {"first": "first half", "second": "second half"}
PERIODS = frozenset("period from between since until through ending covers covering report reporting month week window to ended ends starting began".split())
PRONOUNS = frozenset("it its this that these they their those he she both here there".split())

ACTING = frozenset(
    "addresses address addressed addressing prevented prevents prevent preventing tackles tackle tackled targets target targeted mitigates mitigate "
    "fixes fixed removes removed cures cured stops stopped".split(),
)

BREAKS = frozenset("and while but whereas although though yet or then because followed plus nor against".split())

# Phrases by which prose names the measures of the reports; the title and the key of each column and figure are added from the Document.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "issues": ("issue", "failure", "incident", "occurrence", "alert", "event", "times"),
    "open_loops": ("open loop", "loop still open", "unresolved loop"),
    "loops_prevented": ("loop prevented", "prevented loop", "recurrence prevented", "prevented recurrence", "prevented", "prevention", "headed off"),
    "prevented": ("prevented", "headed off", "did not come back", "avoided"),
    "mttr": ("mean time to resolve", "time to resolve", "mean time to resolution", "time to resolution", "resolution time", "resolution", "resolve", "mttr",
             "time to restore", "mean time to restore"),
    "prevention_rate": ("prevention rate", "rate of prevention", "prevention"),
    "exposure_avoided": ("exposure avoided", "avoided exposure", "exposure", "saved", "saving", "avoided", "cost avoided"),
    "prediction_brier": ("brier score", "brier", "prediction score", "forecast error"),
    "risk_score": ("risk score", "risk", "score"),
    "probability": ("probability", "chance", "likelihood", "likely", "odds", "probable", "likeliest"),
    "window_days": ("window", "within", "next"),
    "last_seen": ("last seen", "last occurred", "last struck", "last came back", "last appeared", "most recent"),
    "share": ("share", "proportion", "of all", "of the total", "account for", "accounted for", "accounts for"),
    "trend": ("trend", "change"),
    "change": ("change", "trend"),
    "difference": ("difference",),
    "expected_loops_prevented": ("expected loop prevented", "prevent", "expected to prevent", "preventing", "loop prevented"),
    "expected": ("expected", "forecast"),
    "observed": ("observed", "actual", "actually", "came back", "seen"),
    "pattern": ("pattern", "cause"),
    "patterns": ("pattern",),
    "fix": ("fix", "fixes", "recommendation", "remedy"),
    "recommendations": ("recommendation", "fix"),
    "services": ("service",),
}
STOP = frozenset(
    "a an the of in on at to by for per and or rate time mean score number count total new last day days value with from is was as it its this that "
    "than before now next first what all most name rank".split(),
)

# Columns of these keys hold states or attributes; the others of unit TEXT hold names when their cells differ.
STATE_KEYS = frozenset(
    "status state verdict trend effort impact severity kind type level priority result outcome confidence category source team owner environment direction".split(),
)
NAME_KEYS = frozenset("pattern fix service title name issue model dataset experiment project recommendation".split())
PREVIOUS_KEYS = frozenset("before previous prior then last_period".split())
CURRENT_KEYS = frozenset("now current after this_period".split())
CHANGE_KEYS = frozenset("change trend difference delta diff growth".split())

# Capitalised words of ordinary reports that name nothing in the data.
COMMON_CAPITALS = frozenset(
    "I API SLA SLO CPU RAM SQL HTTP HTTPS URL UTC OK CI CD KPI PDF CSV ID IT QA MTTR US EU UK English Everfix AI ML DNS TLS SSL JSON XML IO UI UX P1 P2 P3".split(),
)
