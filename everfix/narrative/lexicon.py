"""The words that carry a claim and what each claims; a word that stands in no table here carries none."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def phrases(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


UP = words(
    "up rose rise rises risen rising increase increases increased increasing grew grow grows grown growing growth "
    "climb climbs climbed climbing higher "
    "gain gained jump jumped jumps surge surged spiked upward upwards uptick",
)
DOWN = words(
    "down fell fall falls fallen falling drop drops dropped dropping decline declines declined declining decrease "
    "decreases decreased decreasing "
    "lower reduced reduction shrank shrunk shrinking ease eased easing slipped slid sank dip dipped plunged "
    "downward downwards shorter faster",
)
LONGER = frozenset(["longer", "slower"])
MORE = frozenset(["more", "additional"])
FEWER = frozenset(["fewer", "less"])
FLAT = words("flat unchanged steady stable level")
BETTER = words("better improved improve improves improving improvement improvements healthier")
WORSE = words("worse worsened worsen worsens worsening deteriorated deteriorating deterioration regress")
RATIOS = {
    "doubled": (0.9, 1.15),
    "doubling": (0.9, 1.15),
    "tripled": (1.8, 2.2),
    "tripling": (1.8, 2.2),
    "trebled": (1.8, 2.2),
    "quadrupled": (2.75, 3.25),
    "halved": (-0.55, -0.45),
    "halving": (-0.55, -0.45),
}  # bounds of the relative change that each word stands for

# After or before these the direction word is part of an idiom and claims nothing.
IDIOMS = phrases(
    "follow up|following up|followed up|set up|sets up|up to|break down|breaks down|broke down|broken down|"
    "lower bound|upper bound|once more|no more|"
    "any more|more or|what more|drill down|close up|clean up|cleaned up|back up|look up|looked up|picked up|"
    "pick up|better to|fall back|falls back|fell back|"
    "make up|makes up|made up|roll up|up front|more detail|more information|come up|comes up|came up|level of|"
    "fall due|falls due|fall short|is better|open up|"
    "less likely|more likely|drop in replacement|speed up|ramp up|lower is",
)

FIRST = words(
    "largest biggest top leading leads lead led leader heads headed tops most highest greatest worst first chief "
    "main busiest heaviest costliest riskiest "
    "likeliest longest strongest foremost peak peaks peaked peaking maximum record primary number-one",
)
LAST = words("lowest smallest fewest least quietest weakest shortest minimum trough fastest bottomed")
PEAKS = words("peak peaks peaked peaking busiest highest maximum most worst record high largest biggest top")
LOWS = words("lowest quietest minimum trough fewest low least smallest bottomed")
NOT_A_RANK = phrases(
    "at most|most recent|most recently|at least|at first|first of|first time|first seen|first half|last half|"
    "most often|the most part|lead to|leads to|led to|"
    "lead time|on top|main reason|least squares|track record|record of|on record|first noticed|top of|most of|"
    "first week|first day|first report|most unusual",
)
# What a superlative counts when nothing else names it.
RANKED_BY = {
    "riskiest": {"risk_score"},
    "likeliest": {"probability"},
    "costliest": {"exposure", "cost", "exposure_avoided"},
    "contributor": {"issues", "share"},
    "source": {"issues", "share"},
    "contributors": {"issues", "share"},
    "busiest": {"issues"},
    "likely": {"probability"},
}
PLACES = ["zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
ORDINALS = dict(zip(PLACES, range(11), strict=True)) | {"runner-up": 2}

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
SMALL = {
    **{word: number for number, word in enumerate(ONES.split())},
    **{word: 10 * number for number, word in enumerate(TENS.split(), start=2)},
    "dozen": 12,
    "couple": 2,
}
FRACTIONS = {"half": 1 / 2, "third": 1 / 3, "thirds": 1 / 3, "quarter": 1 / 4, "quarters": 1 / 4, "fifth": 1 / 5, "fifths": 1 / 5}
SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
NONE = frozenset(["no", "none", "nothing", "neither", "nobody"])
NOT_A_COUNT = frozenset(
    ["no", "the", "any", "each", "every", "this", "that", "another", "which", "at", "previous", "prior", "last", "next"]
)  # "the one", "no one", "at one with"

SECONDS: dict[str, float] = {
    word: seconds
    for seconds, names in (
        (0.001, "ms millisecond milliseconds"),
        (1, "s sec secs second seconds"),
        (60, "min mins minute minutes"),
        (3600, "h hr hrs hour hours"),
        (86400, "d day days"),
        (604800, "week weeks"),
    )
    for word in names.split()
}
CURRENCIES = {
    "$": "USD",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "dollar": "USD",
    "dollars": "USD",
    "euro": "EUR",
    "euros": "EUR",
    "pound": "GBP",
    "pounds": "GBP",
    "yen": "JPY",
    "franc": "CHF",
    "francs": "CHF",
}
YEAR = (
    "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sep sept|october oct|november nov|december dec"
)
MONTHS = {name: number for number, names in enumerate(YEAR.split("|"), start=1) for name in names.split()}
WEEK = "monday mon|tuesday tue tues|wednesday wed|thursday thu thurs|friday fri|saturday sat|sunday sun"
WEEKDAYS = {name: number for number, names in enumerate(WEEK.split("|")) for name in names.split()}

ABOUT = words("about around roughly approximately some circa ~ approx")
OVER = words("over above exceeding")
UNDER = words("nearly almost under below")

# What the words beside a number say it is.
PREVIOUSLY = words("from previously earlier before prior versus vs against compared instead")
CURRENTLY = words("to now reached reaching reaches totalled totalling stands")
TOGETHER = words("together combined jointly altogether between total sum")
WHOLE = words("total overall altogether all workspace-wide listed shown sum whole together combined")
AVERAGE = words("average averaged averages mean usual typical typically usually per")
UNUSUAL = words("z-score z-scores deviations deviation sigma σ z unusual")
LIMIT = words("threshold limit target line ceiling goal")
PROJECTED = words("projected projection forecast forecasts expected predicted expect points")
HALVES = {"first": "first half", "second": "second half"}
PERIODS = words(
    "period from between since until through ending covers covering report reporting month week window to ended ends starting began",
)
PRONOUNS = words("it its this that these they their those he she both here there")

FIX_KEYS = words("fix recommendation remedy")
FAILING = words("recurrence return failure issue occurrence incident")
STOPPING = words("stop stopping prevent preventing end ending avoid avoiding against fix fixing address addressing")

ACTING = words(
    "addresses address addressed addressing prevented prevents prevent preventing tackles tackle tackled targets "
    "target targeted mitigates mitigate "
    "fixes fixed removes removed cures cured stops stopped",
)

BREAKS = words("and while but whereas although though yet or then because followed plus nor against")

# Phrases by which prose names the measures of the reports; the title and the key of each column and figure are added from the Document.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "issues": ("issue", "failure", "incident", "occurrence", "alert", "event", "times"),
    "open_loops": ("open loop", "loop still open", "unresolved loop"),
    "loops_prevented": (
        "loop prevented",
        "prevented loop",
        "recurrence prevented",
        "prevented recurrence",
        "prevented",
        "prevention",
        "headed off",
    ),
    "returns": ("return", "recurrence", "came back"),
    "brier": ("brier score", "brier", "prediction score", "forecast error", "forecasts got"),
    "settled": ("settled", "predictions came to an end", "prediction came to an end"),
    "hits": ("came true",),
    "misses": ("did not come true",),
    "brier_base": ("guessing the average",),
    "above_threshold": ("above the alert threshold",),
    "prevented": ("prevented", "headed off", "did not come back", "avoided"),
    "mttr": (
        "mean time to resolve",
        "time to resolve",
        "mean time to resolution",
        "time to resolution",
        "resolution time",
        "resolution",
        "resolve",
        "mttr",
        "time to restore",
        "mean time to restore",
    ),
    "prevention_rate": ("prevention rate", "rate of prevention", "prevention"),
    "exposure_avoided": ("exposure avoided", "avoided exposure", "exposure", "saved", "saving", "avoided", "cost avoided"),
    "prediction_brier": ("brier score", "brier", "prediction score", "forecast error", "forecasts got"),
    "risk_score": ("risk score", "risk", "score"),
    "probability": ("probability", "chance", "likelihood", "likely", "odds", "probable", "likeliest"),
    "window_days": ("window", "within", "next"),
    "last_seen": ("last occurrence", "last seen", "last occurred", "last struck", "last came back", "last appeared", "most recent"),
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
    # of reports on ML work
    "auc": ("area under the curve", "area under the roc curve", "roc auc"),
    "average_precision": ("area under precision and recall",),
    "logloss": ("cross entropy",),
    "ece": ("expected calibration error", "calibration"),
    "r2": ("coefficient of determination", "explained variance"),
    "rmse": ("root mean squared error",),
    "mae": ("mean absolute error",),
    "psi": ("population stability index", "drift"),
    "worst_psi": ("population stability index",),
    "share_drifted": ("drifted feature", "share of drifted features"),
    "error_rate": ("failure rate", "rate of errors", "answers that failed"),
    "p95": ("95th percentile",),
    "quality_score": ("quality of the synthetic data", "synthetic quality"),
    "detection_auc": ("detection",),
    "exact_matches": ("exact match", "copy of a real row", "copies of real rows"),
}
STOP = words(
    "a an the of in on at to by for per and or rate time mean score number count total new last day days value "
    "with from is was as it its this that "
    "than before now next first what all most name rank came come said since",
)
LOOSE = STOP | words(
    "period average how when where why who which were be been have had did do does they their we our right likely often stand"
)  # words of a longer title that do not name its measure by themselves

# Columns of these keys hold states or attributes; the others of unit TEXT hold names when their cells differ.
STATE_KEYS = words(
    "status state verdict trend effort impact severity kind type level priority result outcome confidence category "
    "source team owner environment direction",
)
TRIGGER_KEYS = words("likely_trigger trigger")  # "a change of pricing (67% of its failing days …)": the evidence is no part of the name
NAME_KEYS = words("pattern fix service title name issue model dataset experiment project recommendation")
PREVIOUS_KEYS = words("before previous prior then last_period")
CURRENT_KEYS = words("now current after this_period")
CHANGE_KEYS = words("change trend difference delta diff growth")

# Capitalised words of ordinary reports that name nothing in the data.
COMMON_CAPITALS = words(
    "I API SLA SLO CPU RAM SQL HTTP HTTPS URL UTC OK CI CD KPI PDF CSV ID IT QA MTTR US EU UK English Everfix AI "
    "ML DNS TLS SSL JSON XML IO UI UX P1 P2 P3",
)
