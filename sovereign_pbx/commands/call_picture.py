"""`calls show ID --plot`: a call as a picture, for the ticket that says "it was slow"."""

from pathlib import Path

from sovereign_pbx.cli import CouldNotRun
from sovereign_pbx.commands.call_page import CallPage, local_time
from sovereign_pbx.core.errors import BadInput, ConfigError
from sovereign_pbx.media.picture import draw


def draw_call(page: CallPage, out: Path | None) -> str:
    """Draw the call to `out` (default: call-ID.png in the working directory); what to tell the administrator.

    Raises CouldNotRun where nothing can be drawn or written.
    """
    call = page.call
    target = out or Path(f"call-{''.join(c if c.isalnum() or c in '-_' else '-' for c in call.id)}.png")
    recording = Path(call.recording_path) if call.recording_path else None
    silent = recording is not None and recording.suffix != ".wav"  # converted, or encrypted
    missing = recording is not None and (silent or not recording.is_file())
    title = f"{call.assistant_name or 'Call'}, {local_time(call.created_at, '%Y-%m-%d %H:%M')}, {call.id}"
    try:
        draw(None if missing else recording, page.turns, target, title)
    except ConfigError as exc:
        raise CouldNotRun(str(exc)) from exc
    except (BadInput, OSError) as exc:
        raise CouldNotRun(f"{target} could not be drawn: {exc}") from exc
    why = "is no WAV" if silent else "is gone"
    note = f" (the recording {recording} {why}: without sound)" if missing else ""
    return f"{target}{note}"
