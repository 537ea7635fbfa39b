"""Where a text has what string fields ask for: names, codes, addresses, dates, gist. Each gives None if it has not."""

# ruff: noqa: RUF001  (full-width and typographic signs are what texts hold)

import re
from collections.abc import Callable
from datetime import date, timedelta

from stream.simulator.evidence import Evidence
from stream.simulator.scene import Scene

Find = Callable[[Scene], str | None]

_STREET = re.compile(
    r"^[ \t]*((?:\d{1,5}[a-z]?,? [A-ZÀ-Þ][^\n,:]{3,40}(?:Street|St\.?|Road|Rd\.?|Avenue|Ave\.?|Lane|Drive|Way|Square)"
    r"|[A-ZÀ-Þ][^\n,:\d]{2,40}(?:straße|strasse|str\.|weg|platz|allee|gasse|straat|laan)\s\d{1,4}[a-z]?"
    r"|\d{1,4},? (?:rue|avenue|boulevard|place)[^\n,:]{3,40}"
    r"|(?:Calle|Avenida|Via|Rua)[^\n,:]{3,40}\d{1,4})[^\n:]{0,60})$",
    re.MULTILINE,
)
_POSTAL = re.compile(r"\b(\d{4,5}(?:-\d{3})?|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2})[ ,]+([A-ZÀ-Þ][^\W\d_]{2,20})")
_TERMS = re.compile(
    r"\b(?:net[ -]?\d{1,3}(?: days)?|\d{1,3} (?:days(?: net)?|tage|jours|días)\b|due on receipt|zahlbar "
    r"sofort)[^\n.,;]{0,20}",
    re.IGNORECASE,
)
_DOCUMENT_WORD = re.compile(
    r"\b(?:invoice|bill|rechnung|facture|factura|fattura|factuur|faktura|receipt|quittung|credit note"
    r"|gutschrift)\b|請求書|فاتورة|発票|发票",
    re.IGNORECASE,
)
BIC = re.compile(r"\b[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\b")
SUMMARY_CHARS = 160


def first_of(values: list[str], scene: Scene) -> str | None:
    """The first value, for the n-th element of an array the n-th."""
    return values[scene.variant] if scene.variant < len(values) else None


def labelled_value(evidence: Evidence, labels: str) -> str | None:
    """The value behind the first of these labels (`a|b c`) that the text has."""
    for label in labels.split("|"):
        if value := evidence.labelled(label.split()):
            return value
    return None


def code_after(labels: str, prefixes: str) -> Find:
    """A code behind one of the labels, or in running text after their first word, or with one of the prefixes."""
    words = "|".join(dict.fromkeys(re.escape(label.split()[0]) for label in labels.split("|")))
    running = re.compile(
        rf"(?:{words})\w*[ \t]*(?:number|no\.?|nr\.?|num\.?|n°|nº|#|id)?[ \t:.#]*([A-Z0-9#][\w/-]*\d[\w/-]*)",
        re.IGNORECASE,
    )

    def find(scene: Scene) -> str | None:
        value = labelled_value(scene.evidence, labels)
        if (
            value
            and (match := re.match(r"[#A-Za-z0-9][\w/.-]*(?: \d[\w/.-]*)*", value))
            and any(map(str.isdigit, match[0]))
        ):
            return match[0].rstrip(".")
        if match := running.search(scene.evidence.without_dates):
            return match[1]
        return next(
            (code for code in scene.evidence.codes if code.upper().startswith(tuple(prefixes.split("|")))), None
        )

    return find


def vendor(scene: Scene) -> str | None:
    """Who sends the document: labelled, else the first company that isn't the buyer."""
    evidence = scene.evidence
    labelled = labelled_value(
        evidence,
        "vendor|supplier|seller|merchant|issued by|from|lieferant|verkäufer|fournisseur|proveedor|fornitore|発行者",
    )
    if labelled:
        return (
            evidence.companies[0]
            if evidence.companies and evidence.companies[0] in labelled
            else labelled.split(",")[0]
        )
    buyer = _customer_label(evidence) or ""
    others = [company for company in evidence.companies if company not in buyer]
    return others[0] if others else _letterhead(evidence)


def _letterhead(evidence: Evidence) -> str | None:
    """The first line of a document with amounts, if it could be a name."""
    line = next((line.strip(" \t#*|") for line in evidence.text.splitlines()[:3] if line.strip(" \t#*|")), "")
    is_name = 3 <= len(line) <= 50 and not re.search(r"[\d:!?]|[.]$", line) and not _DOCUMENT_WORD.search(line)
    return line if evidence.amounts and is_name else None


def _customer_label(evidence: Evidence) -> str | None:
    return labelled_value(
        evidence,
        "bill to|billed to|invoice to|customer name|customer|client|buyer|ship to|sold to|kunde"
        "|rechnungsempfänger|rechnung an|client|cliente|facturé à|to|an",
    )


def customer(scene: Scene) -> str | None:
    """Whom the document is for: labelled, else the second company, else whoever signs."""
    if labelled := _customer_label(scene.evidence):
        return labelled.split(",")[0]
    sender = vendor(scene)
    others = [company for company in scene.evidence.companies if company != sender]
    return others[0] if others else scene.evidence.person


def person(scene: Scene) -> str | None:
    """A person's name."""
    labelled = labelled_value(
        scene.evidence, "name|contact|attn|from|requester|author|sender|ansprechpartner|nom|nombre"
    )
    if labelled:
        return re.split(r"\s*[<(,]", labelled)[0] or None
    return scene.evidence.person


def sentence(scene: Scene) -> str | None:
    """The text's gist: its first real sentence, whole, or cut at a word and closed if it is long."""
    sentences = scene.evidence.sentences
    chosen = first_of(sentences, scene) or (sentences[0] if sentences else scene.evidence.title)
    if not chosen:
        return None
    if len(chosen) <= SUMMARY_CHARS:
        return chosen if chosen[-1] in ".!?。！？" else chosen.rstrip(",;: -") + "."
    kept = chosen[: SUMMARY_CHARS - 1]
    return (kept[: kept.rfind(" ")] if " " in kept else kept).rstrip(",;: -") + "."


def title(scene: Scene) -> str | None:
    """The subject, at most 100 characters."""
    title = scene.evidence.title
    return title[:100].strip() if title else None


def address(scene: Scene) -> str | None:
    """A line that looks like a street."""
    match = _STREET.search(scene.evidence.text)
    return match[1].strip() if match else labelled_value(scene.evidence, "address|adresse|anschrift|dirección")


def postal(group: int) -> Find:
    """Finds a postal code (1) or the town behind it (2)."""

    def find(scene: Scene) -> str | None:
        match = _POSTAL.search(scene.evidence.text)
        return match[group] if match else None

    return find


def terms(scene: Scene) -> str | None:
    """Terms of payment."""
    match = _TERMS.search(scene.evidence.text)
    return (
        match[0].strip()
        if match
        else labelled_value(scene.evidence, "payment terms|terms|zahlungsbedingungen|conditions")
    )


def product(scene: Scene) -> str | None:
    """What was bought or is spoken of."""
    if scene.item:
        return scene.item.description
    evidence = scene.evidence
    found = first_of([item.description for item in evidence.line_items], scene)
    return (
        found
        or labelled_value(evidence, "product|item|article|artikel|produit|producto")
        or first_of(evidence.quoted, scene)
    )


def found_date(scene: Scene, name: str) -> date | None:
    """The date a field's name speaks of: one with "due" beside it, else one without."""
    dates = scene.evidence.dates
    is_due = re.compile(
        r"due|pay by|payable|deadline|fällig|zahlbar bis|échéance|vencimiento|scadenza|vervaldatum|until|bis zum|支払"
    )
    due = [one.day for one in dates if is_due.search(one.context)]
    if re.search(r"\b(?:due|deadline|payable|expir\w*|until)\b", name):
        return due[0] if due else None
    plain = [one.day for one in dates if one.day not in due]
    if re.search(r"\b(?:end|to|last|delivery)\b", name):
        return plain[-1] if len(plain) > 1 else None
    chosen = plain or due
    return chosen[scene.variant] if scene.variant < len(chosen) else None


def invented_date(scene: Scene, name: str) -> date:
    """A plausible day: for what is due 30 days after the first date of the text, else a day of 2026."""
    if re.search(r"\b(?:due|deadline|payable|expir\w*|until|end)\b", name) and scene.evidence.dates:
        return scene.evidence.dates[0].day + timedelta(days=30)
    start = date(2026, 1, 5) + timedelta(days=scene.evolve(variant=0).digest("date") % 300)
    return start + timedelta(days=30 if re.search(r"\b(?:due|deadline|expir\w*|end)\b", name) else scene.variant)


def found_day(scene: Scene) -> str | None:
    """A date as ISO text."""
    day = found_date(scene, "date")
    return day.isoformat() if day else None
