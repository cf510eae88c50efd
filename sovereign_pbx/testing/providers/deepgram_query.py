"""Which query parameters Deepgram takes, and which it turns down with 400."""

from collections.abc import Sequence

_BOTH = {"model", "encoding", "sample_rate", "keyterm", "mip_opt_out", "tag"}
_NOVA = _BOTH | {
    "language",
    "channels",
    "interim_results",
    "endpointing",
    "utterance_end_ms",
    "vad_events",
    "smart_format",
    "punctuate",
    "numerals",
    "keywords",
    "no_delay",
    "profanity_filter",
    "filler_words",
    "diarize",
}
_FLUX = _BOTH | {"eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "language_hint"}
_RANGES = {"eot_threshold": (0.5, 1.0), "eager_eot_threshold": (0.3, 0.9), "eot_timeout_ms": (500, 60000)}
_REPEATED = {"keyterm", "keywords", "tag", "language_hint"}
_RATES = {"8000", "16000", "24000", "32000", "44100", "48000"}


def complaint(path: str, query: Sequence[tuple[str, str]]) -> str | None:
    """Why the vendor would refuse, or None."""
    flux = path == "/v2/listen"
    names = [name for name, _ in query]
    values = dict(query)
    if unknown := set(names) - (_FLUX if flux else _NOVA):
        return f"unknown parameter {sorted(unknown)[0]}"
    if repeated := {name for name in names if names.count(name) > 1} - _REPEATED:
        return f"parameter {sorted(repeated)[0]} given twice"
    if not values.get("model", "").startswith("flux-" if flux else "nova-"):
        return "no such model for this endpoint"
    if values.get("encoding") not in ("linear16", "mulaw") or values.get("sample_rate") not in _RATES:
        return "encoding and sample_rate do not fit raw audio"
    return _flux_complaint(values) if flux else _nova_complaint(values)


def _nova_complaint(values: dict[str, str]) -> str | None:
    for name in ("interim_results", "vad_events", "smart_format", "punctuate", "numerals"):
        if values.get(name, "true") not in ("true", "false"):
            return f"{name} must be true or false"
    if "keyterm" in values and not values["model"].startswith("nova-3"):
        return "keyterm needs nova-3"
    if "utterance_end_ms" in values:
        if values.get("interim_results") != "true":
            return "utterance_end_ms needs interim_results"
        if int(values["utterance_end_ms"]) < 1000:
            return "utterance_end_ms below 1000"
    if values.get("language") == "":
        return "language is empty"
    return None


def _flux_complaint(values: dict[str, str]) -> str | None:
    for name, (low, high) in _RANGES.items():
        if name in values and not low <= float(values[name]) <= high:
            return f"{name} out of range"
    if "language_hint" in values and values["model"] != "flux-general-multi":
        return "language_hint needs flux-general-multi"
    return None
