"""E-mails (`.eml`) by the standard library: subject, people, date and body; attachments are read on their own."""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from sadari.retrieve.load.encoding import decode
from sadari.retrieve.load.html import html_text
from sadari.retrieve.load.kinds import is_document, suffix_of
from sadari.retrieve.load.limits import Limits
from sadari.retrieve.load.parsed import Parsed, UnreadableError, clean, compose

_PEOPLE = ("from", "to", "cc")


def read_mail(data: bytes, limits: Limits) -> Parsed:
    """The mail as a document with its subject as heading; attachments that are documents as `inner`."""
    message = _message(data)
    subject = _header(message, "subject") or "(no subject)"
    people = {name: _header(message, name) for name in _PEOPLE if message[name]}
    stamp = message["date"].datetime if message["date"] is not None else None
    date = stamp.strftime("%Y-%m-%d") if stamp else ""
    head = "\n".join([f"{name.capitalize()}: {people[name]}" for name in people] + ([f"Date: {date}"] if date else []))
    inner = [name for name, content in _attachments(message, limits) if is_document(name, content)]
    mails = [part for part in message.walk() if part.get_content_type() == "message/rfc822"]
    forwarded = tuple(("attached mail", "is a mail in a mail. Save it as an .eml file of its own.") for _ in mails)
    return Parsed(
        clean("\n\n".join(piece for piece in (f"# {subject}", head, _body(message)) if piece)),
        subject,
        date=date,
        metadata=people,
        inner=tuple(name for name in inner if suffix_of(name) != ".zip"),
        unread=tuple((name, "is an archive in a mail. Unpack it first.") for name in inner if suffix_of(name) == ".zip")
        + forwarded,
    )


def read_attachment(data: bytes, name: str, limits: Limits) -> bytes:
    """The bytes of one attachment, by the name that `read_mail` gave it."""
    for attached, content in _attachments(_message(data), limits):
        if attached == name:
            return content
    raise UnreadableError("is not attached to the mail any more.")


def _message(data: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(data)
    if not message.keys():
        raise UnreadableError("is no mail: it has no header. Name it by its format.")
    return message


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(compose(str(message[name] or "")).encode("utf-8", "replace").decode().split())


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    payload = part.get_payload(decode=True)
    text = decode(payload, part.get_content_charset() or "") if isinstance(payload, bytes) else ""
    return html_text(text) if part.get_content_subtype() == "html" else text


def _attachments(message: EmailMessage, limits: Limits) -> list[tuple[str, bytes]]:
    """Named parts and their bytes; a name that stands twice is numbered."""
    found: list[tuple[str, bytes]] = []
    for part in message.walk():
        name = part.get_filename()
        if not name or part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        name = compose(name).replace("\\", "/").rpartition("/")[2] or "attachment"
        taken = {known for known, _ in found}
        stem, dot, suffix = name.rpartition(".")
        unique = next(n for n in (name, *(f"{stem} ({i}){dot}{suffix}" for i in range(2, len(found) + 3))) if n not in taken)
        found.append((unique, payload if isinstance(payload, bytes) else b""))
        if len(found) > limits.members:
            raise UnreadableError(f"has more than {limits.members:,} attachments (`members`).")
    return found
