"""Tongues: what a translation is held against in each language: its direction and rank words, its negations, its numbers and dates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

SENSES = ("up", "down", "better", "worse", "flat", "first", "last", "doubled", "halved", "tripled")


@dataclass(frozen=True)
class Tongue:
    """One language. Word lists are regular expressions of whole words, by sense; `decimal` and `thousands` write its numbers."""

    key: str
    decimal: str
    thousands: str
    months: tuple[str, ...]
    weekdays: tuple[str, ...]
    date: str  # "{d}. {m} {y}"
    units: tuple[str, str, str, str, str]  # second, minute, hour, day (one), days
    fractions: dict[float, str]
    ordinal: str
    money: str  # "{amount} {sign}"
    words: dict[str, str]
    negations: str

    @cached_property
    def senses(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        return tuple((sense, re.compile(rf"(?<!\w)(?:{self.words[sense]})(?!\w)", re.IGNORECASE)) for sense in SENSES)

    @cached_property
    def negation(self) -> re.Pattern[str]:
        return re.compile(rf"(?<!\w)(?:{self.negations})(?!\w)", re.IGNORECASE)


GERMAN = Tongue(
    "de",
    ",",
    ".",
    tuple("Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()),
    tuple("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split()),
    "{d}. {m} {y}",
    ("s", "min", "h", "Tag", "Tage"),
    {1 / 2: "die Hälfte", 1 / 3: "ein Drittel", 2 / 3: "zwei Drittel", 1 / 4: "ein Viertel", 3 / 4: "drei Viertel", 1 / 5: "ein Fünftel"},
    "{n}.",
    "{amount} {sign}",
    {
        "up": r"(?:ge|an)?stieg(?:en)?|steig\w*|gestiegen|angestieg\w*|anstieg\w*|erhöh\w*|wuchs\w*|wächst|gewachs\w*|zunah\w*|zugenommen\w*|"
        r"zunahm\w*|nahm(?:en)? .{0,60}zu|kletter\w*|geklettert|höher\w*|aufwärts|zuwachs\w*|länger\w*",
        "down": r"fiel(?:en)?|fällt|fallen|gefallen\w*|sank(?:en)?|sinkt|sinken\w*|gesunken\w*|rückgang\w*|zurückgegangen|ging(?:en)? .{0,60}zurück|"
        r"verringer\w*|reduzier\w*|abnah\w*|abgenommen\w*|nahm(?:en)? .{0,60}ab|niedriger\w*|abwärts|kürzer\w*|schneller\w*",
        "better": r"besser\w*|verbesser\w*|gebessert|verbesserung\w*",
        "worse": r"schlechter\w*|verschlechter\w*|schlimmer\w*",
        "flat": r"unverändert\w*|gleich geblieben|gleichgeblieben|blieb(?:en)? gleich|stabil\w*|konstant\w*|auf dem gleichen Stand",
        "first": r"größte\w*|höchste\w*|erste\w*|führ(?:t|te|ten)|führend\w*|meiste\w*|stärkste\w*|höchststand\w*|höchstwert\w*|spitze\w*|riskanteste\w*|"
        r"wichtigste\w*|häufigste\w*|oberste\w*|maximum|rekord\w*|wahrscheinlichste\w*|beginnen\w*|zuerst",
        "last": r"kleinste\w*|niedrigste\w*|geringste\w*|wenigste\w*|ruhigste\w*|tiefststand\w*|tiefstwert\w*|minimum|schwächste\w*|kürzeste\w*",
        "doubled": r"verdoppel\w*",
        "halved": r"halbier\w*",
        "tripled": r"verdreifach\w*",
    },
    r"nicht|kein\w*|nie|niemals|ohne|nichts|niemand|weder",
)
FRENCH = Tongue(
    "fr",
    ",",
    "\u202f",
    tuple("janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()),
    tuple("lundi mardi mercredi jeudi vendredi samedi dimanche".split()),
    "{d} {m} {y}",
    ("s", "min", "h", "jour", "jours"),
    {1 / 2: "la moitié", 1 / 3: "un tiers", 2 / 3: "deux tiers", 1 / 4: "un quart", 3 / 4: "trois quarts", 1 / 5: "un cinquième"},
    "{n}e",
    "{amount} {sign}",
    {
        "up": r"augment\w*|hausse\w*|progress\w*|croi[ts]\w*|crû|grimp\w*|accrois\w*|accru\w*|montée?s?|monté|supérieur\w*|élevé\w* que|rallong\w*|plus longue?s?",
        "down": r"baiss\w*|diminu\w*|recul\w*|chut\w*|tomb\w*|rédui\w*|réduction\w*|inférieur\w*|décr\w*|plus courte?s?|raccourc\w*",
        "better": r"meilleur\w*|mieux|amélior\w*",
        "worse": r"pire\w*|dégrad\w*|empir\w*|détérior\w*|aggrav\w*",
        "flat": r"inchangé\w*|stable\w*|stagn\w*|constante?s?",
        "first": r"plus (?:grand|élevé|haut|gros|important|risqué|fréquent|probable|fort)\w*|premi(?:er|ère)s?|principal\w*|en tête|maximum|maximal\w*|pic|record\w*|commence\w*",
        "last": r"plus (?:petit|faible|bas|calme|court)\w*|minimum|minimal\w*|dernière? place",
        "doubled": r"doubl\w*",
        "halved": r"divis\w+ par deux|réduit\w* de moitié",
        "tripled": r"tripl\w*",
    },
    r"ne|n['’]\w+|pas|aucune?s?|jamais|sans|rien|ni|personne",
)
SPANISH = Tongue(
    "es",
    ",",
    ".",
    tuple("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre".split()),
    tuple("lunes martes miércoles jueves viernes sábado domingo".split()),
    "{d} de {m} de {y}",
    ("s", "min", "h", "día", "días"),
    {1 / 2: "la mitad", 1 / 3: "un tercio", 2 / 3: "dos tercios", 1 / 4: "un cuarto", 3 / 4: "tres cuartos", 1 / 5: "un quinto"},
    "{n}.º",
    "{amount} {sign}",
    {
        "up": r"aument\w*|sub(?:ió|ieron|en|e|ida|iendo|ido)|crec\w*|increment\w*|ascend\w*|escal(?:ó|aron)|superior\w*|alza|más altos?|más altas?",
        "down": r"baj(?:ó|aron|an|a|ada|ado|ando)|ca(?:yó|yeron|en|e|ída|ído)|descend\w*|disminu\w*|redu[cj]\w*|inferior\w*|más baj[oa]s? que",
        "better": r"mejor\w*",
        "worse": r"peor\w*|empeor\w*|deterior\w*",
        "flat": r"sin cambios|estable\w*|constante\w*|igual que",
        "first": r"mayor(?:es)?|más (?:grande|elevad|alt|probable|frecuente|arriesgad|important)\w*|primer\w*|principal\w*|encabez\w*|lider\w*|máxim\w*|pico|récord|empe(?:zar|cemos|ce)",
        "last": r"menor(?:es)?|más (?:pequeñ|baj|tranquil|débil)\w*|mínim\w*",
        "doubled": r"duplic\w*|se dobl\w*",
        "halved": r"se redujo a la mitad|se redujeron a la mitad",
        "tripled": r"triplic\w*",
    },
    r"no|ningun[oa]?s?|ningún|nunca|sin|nada|nadie|ni",
)
ITALIAN = Tongue(
    "it",
    ",",
    ".",
    tuple("gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split()),
    tuple("lunedì martedì mercoledì giovedì venerdì sabato domenica".split()),
    "{d} {m} {y}",
    ("s", "min", "h", "giorno", "giorni"),
    {1 / 2: "la metà", 1 / 3: "un terzo", 2 / 3: "due terzi", 1 / 4: "un quarto", 3 / 4: "tre quarti", 1 / 5: "un quinto"},
    "{n}º",
    "{amount} {sign}",
    {
        "up": r"aument\w*|sal(?:ito|ita|iti|ite|e|gono|ì|irono)|cresc\w*|cresciut\w*|increment\w*|rialzo|superior\w*|più lung\w*",
        "down": r"cal(?:o|ato|ata|ati|ate|a|ano|ò|arono)|sces[oaie]|scend\w*|dimin\w*|cadut\w*|ridott\w*|riduzion\w*|riduc\w*|inferior\w*|più brev\w*",
        "better": r"miglior\w*|meglio",
        "worse": r"peggior\w*|peggio|deterior\w*",
        "flat": r"invariat\w*|stabil\w*|costant\w*",
        "first": r"maggior\w*|più (?:grand|alt|elevat|probabil|frequent|rischios|important)\w*|prim[oaie]|principal\w*|in testa|massim\w*|picco|record|iniziare|cominciare",
        "last": r"minor[ei]|più (?:piccol|bass|tranquill|debol)\w*|minim\w*",
        "doubled": r"raddoppi\w*",
        "halved": r"dimezz\w*",
        "tripled": r"triplic\w*",
    },
    r"non|nessun\w*|mai|senza|niente|nulla|né",
)
DUTCH = Tongue(
    "nl",
    ",",
    ".",
    tuple("januari februari maart april mei juni juli augustus september oktober november december".split()),
    tuple("maandag dinsdag woensdag donderdag vrijdag zaterdag zondag".split()),
    "{d} {m} {y}",
    ("s", "min", "u", "dag", "dagen"),
    {1 / 2: "de helft", 1 / 3: "een derde", 2 / 3: "twee derde", 1 / 4: "een kwart", 3 / 4: "driekwart", 1 / 5: "een vijfde"},
    "{n}e",
    "{sign} {amount}",
    {
        "up": r"ste(?:eg|gen)|stijg\w*|gestegen|toe(?:name|genomen)|na?am(?:en)? .{0,60}toe|groei\w*|gegroeid|klom(?:men)?|hoger\w*|omhoog|langer\w*",
        "down": r"da(?:al|len)\w*|daal\w*|gedaald|af(?:name|genomen)|na?am(?:en)? .{0,60}af|zakt\w*|gezakt|verminder\w*|lager\w*|omlaag|korter\w*|sneller\w*",
        "better": r"beter\w*|verbeter\w*",
        "worse": r"slechter\w*|verslechter\w*|erger\w*",
        "flat": r"onveranderd\w*|gelijk gebleven|bleef gelijk|bleven gelijk|stabiel\w*|constant\w*",
        "first": r"groots\w*|hoogst\w*|eerst\w*|meest\w*|leidt|leidde\w*|voornaamst\w*|belangrijkst\w*|piek\w*|maximum|record\w*|beginnen|begin",
        "last": r"kleinst\w*|laagst\w*|minst\w*|rustigst\w*|minimum|zwakst\w*",
        "doubled": r"verdubbel\w*",
        "halved": r"gehalveerd\w*|halveer\w*",
        "tripled": r"verdrievoudig\w*",
    },
    r"niet|geen|nooit|zonder|niets|niemand|noch",
)
PORTUGUESE = Tongue(
    "pt",
    ",",
    ".",
    tuple("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()),
    tuple("segunda-feira terça-feira quarta-feira quinta-feira sexta-feira sábado domingo".split()),
    "{d} de {m} de {y}",
    ("s", "min", "h", "dia", "dias"),
    {1 / 2: "metade", 1 / 3: "um terço", 2 / 3: "dois terços", 1 / 4: "um quarto", 3 / 4: "três quartos", 1 / 5: "um quinto"},
    "{n}.º",
    "{sign} {amount}",
    {
        "up": r"aument\w*|sub(?:iu|iram|em|e|ida|indo|ido)|cresc\w*|increment\w*|ascend\w*|superior\w*|alta|mais alt[oa]s? que|mais long\w*",
        "down": r"ca(?:iu|íram|em|i|ída|indo|ído)|diminu\w*|redu[zç]\w*|desce\w*|inferior\w*|queda\w*|baix(?:ou|aram)|mais curt\w*",
        "better": r"melhor\w*",
        "worse": r"pior\w*|deterior\w*",
        "flat": r"inalterad\w*|estáve\w*|constante\w*|sem alterações|sem alteração",
        "first": r"maior(?:es)?|mais (?:grande|elevad|alt|provável|frequente|arriscad|important)\w*|primeir\w*|principa\w*|lider\w*|máxim\w*|pico|recorde|começar",
        "last": r"menor(?:es)?|mais (?:pequen|baix|calm|frac)\w*|mínim\w*",
        "doubled": r"dobr(?:ou|aram|ado)|duplic\w*",
        "halved": r"reduziu-se a metade|caiu pela metade|caíram pela metade",
        "tripled": r"triplic\w*",
    },
    r"não|nenhum\w*|nunca|sem|nada|ninguém|nem",
)
TONGUES = {tongue.key: tongue for tongue in (GERMAN, FRENCH, SPANISH, ITALIAN, DUTCH, PORTUGUESE)}
