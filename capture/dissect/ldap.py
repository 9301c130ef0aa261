"""LDAP (RFC 4511), over TCP and, connectionless, over UDP."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.framed import Passed, before, contained, entire, roomy, sized
from netwatch.capture.dissect.kit import Field, Header, Item, flag, group, number, octets, text
from netwatch.capture.dissect.ldap_names import OIDS, OPERATIONS, RESULTS
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import MALFORMED_MARK, Malformed, Packet, Short
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.tls import tls
from netwatch.capture.protocols import declare

declare("cldap", "CLDAP", "config")

LDAP = Header("ldap", "Lightweight Directory Access Protocol", ())
CLDAP = Header("cldap", "Connectionless Lightweight Directory Access Protocol", ())
NAME: Final = "LDAP"
MESSAGE = group("ldap.LDAPMessage_element", "LDAPMessage")
MESSAGE_ID, OPERATION = number("ldap.messageID", "messageID"), number("ldap.protocolOp", "protocolOp", OPERATIONS)
VERSION, BIND_NAME = number("ldap.version", "version"), text("ldap.name", "name")
AUTHENTICATION = number(
    "ldap.authentication",
    "authentication",
    {0: "simple", 3: "sasl", 9: "sicily", 10: "ntlmsspNegotiate", 11: "ntlmsspAuth"},
)
SIMPLE, MECHANISM = text("ldap.simple", "simple"), text("ldap.mechanism", "mechanism")
CREDENTIALS, SERVER_CREDENTIALS = (
    octets("ldap.credentials", "credentials"),
    octets("ldap.serverSaslCreds", "serverSaslCreds"),
)
RESULT = number("ldap.resultCode", "resultCode", RESULTS)
MATCHED, DIAGNOSTIC = text("ldap.matchedDN", "matchedDN"), text("ldap.errorMessage", "errorMessage")
URL = text("ldap.LDAPURL", "LDAPURL")
BASE = text("ldap.baseObject", "baseObject")
SCOPES: Final = {0: "baseObject", 1: "singleLevel", 2: "wholeSubtree", 3: "subordinateSubtree"}
SCOPE = number("ldap.scope", "scope", SCOPES)
DEREFERENCE = number(
    "ldap.derefAliases",
    "derefAliases",
    {0: "neverDerefAliases", 1: "derefInSearching", 2: "derefFindingBaseObj", 3: "derefAlways"},
)
SIZE_LIMIT, TIME_LIMIT = number("ldap.sizeLimit", "sizeLimit"), number("ldap.timeLimit", "timeLimit")
TYPES_ONLY = flag("ldap.typesOnly", "typesOnly")
CHOICES: Final = {
    0: "and",
    1: "or",
    2: "not",
    3: "equalityMatch",
    4: "substrings",
    5: "greaterOrEqual",
    6: "lessOrEqual",
    7: "present",
    8: "approxMatch",
    9: "extensibleMatch",
}
FILTER = number("ldap.filter", "filter", CHOICES)
ASSERTED, ASSERTION = text("ldap.attributeDesc", "attributeDesc"), text("ldap.assertionValue", "assertionValue")
PRESENT, WANTED = text("ldap.present", "present"), text("ldap.AttributeDescription", "AttributeDescription")
SUBSTRINGS: Final = (text("ldap.initial", "initial"), text("ldap.any", "any"), text("ldap.final", "final"))
RULE, MATCH_VALUE = text("ldap.matchingRule", "matchingRule"), text("ldap.matchValue", "matchValue")
ATTRIBUTES = number("ldap.attributes", "attributes")
OBJECT_NAME, OBJECT, ENTRY = (
    text("ldap.objectName", "objectName"),
    text("ldap.object", "object"),
    text("ldap.entry", "entry"),
)
ATTRIBUTE = group("ldap.PartialAttributeList_item_element", "PartialAttributeList item")
TYPE, VALUES, VALUE = (
    text("ldap.type", "type"),
    number("ldap.vals", "vals"),
    octets("ldap.AttributeValue", "AttributeValue"),
)
CHANGE = number("ldap.operation", "operation", {0: "add", 1: "delete", 2: "replace", 3: "increment"})
NEW_NAME, NEW_PARENT = text("ldap.newrdn", "newrdn"), text("ldap.newSuperior", "newSuperior")
DELETE_OLD = flag("ldap.deleteoldrdn", "deleteoldrdn")
DELETED, ABANDONED = text("ldap.delRequest", "delRequest"), number("ldap.abandonRequest", "abandonRequest")
REQUEST_NAME, REQUEST_VALUE = text("ldap.requestName", "requestName"), octets("ldap.requestValue", "requestValue")
RESPONSE_NAME, RESPONSE_VALUE = (
    text("ldap.responseName", "responseName"),
    octets("ldap.responseValue", "responseValue"),
)
CONTROL_TYPE, CRITICAL = text("ldap.controlType", "controlType"), flag("ldap.criticality", "criticality")
CONTROL_VALUE = octets("ldap.controlValue", "controlValue")
SASL_LENGTH = number("ldap.sasl_buffer_length", "SASL Buffer Length")
SASL_DATA = octets("ldap.gssapi_encrypted_payload", "GSS-API Encrypted payload")

START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
MAX_DEPTH: Final = 50
"""Filters within filters that are shown; directories refuse fewer."""
MAX_SIZE: Final = 1 << 28
SMALL: Final = rb"\x30(?:\x81|\x82\x00|\x83\x00{2}|\x84\x00{3})?(?=.\x02)" + sized(1)
SMALL_PROTECTED: Final = rb"\x00{3}" + sized()
SUCCESS, SASL_IN_PROGRESS = 0, 14
Memory = dict[Any, Any]


class Element(NamedTuple):
    """A BER element: its tag's byte, where it begins, where its content lies."""

    tag: int
    start: int
    at: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def element(packet: Packet, at: int, limit: int) -> Element:
    """The element at `at`; lengths are definite (RFC 4511, 5.1)."""
    tag = packet.uint(NAME, at, 1, limit)
    size = packet.uint(NAME, at + 1, 1, limit)
    start = at + 2
    if size & 0x80:
        many = size & 0x7F
        if not 0 < many <= 4:
            raise Malformed(f"LDAP: a length of {many} bytes", at + 1)
        size = packet.uint(NAME, start, many, limit)
        start += many
    if start + size > limit:
        raise Short(NAME, start, size, limit)
    return Element(tag, at, start, start + size)


@on("tcp.port", 389, 3268)
def ldap(packet: Packet, at: int, limit: int) -> Step | None:
    """Messages one after the other."""
    head = packet.data[at : at + 2]
    if head[:1] == b"\0" and packet.memory("ldap").get("sasl"):
        return _protected(packet, at, limit)
    if not _begins(packet.data[at : at + 16]):
        return NOT_MINE
    memory = packet.memory("ldap")
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, 2, limit)
        if not _begins(packet.data[at : at + 16]):
            return Step((ldap,), at, limit)
        first = packet.uint(NAME, at + 1, 1, limit)
        more = first & 0x7F if first & 0x80 else 0
        entire(packet, NAME, at, 2 + more, limit)
        size = packet.uint(NAME, at + 2, more, limit) if more else first
        end = entire(packet, NAME, at, 2 + more + size, limit)
        if roomy(packet):
            _show(packet, LDAP, at, min(end, limit), memory)
        else:
            passed.single(at, end)
        at = end
    return None


@on("udp.port", 389)
def cldap(packet: Packet, at: int, limit: int) -> Step | None:
    """A message a datagram (MS-ADTS, 3.1.1.3.1.1.1)."""
    if not _begins(packet.data[at : at + 16]):
        return NOT_MINE
    _show(packet, CLDAP, at, limit, packet.memory("ldap"))
    return None


def _begins(head: bytes) -> bool:
    """A sequence, then an integer as the message's number."""
    if head[:1] != b"\x30":
        return False
    if len(head) < 2:
        return True
    more = head[1] & 0x7F if head[1] & 0x80 else 0
    if more > 4 or head[1] == 0x80 or int.from_bytes(head[2 : 2 + more], "big") > MAX_SIZE:
        return False
    after = head[2 + more :]
    return not after or after[0] == 2


def _protected(packet: Packet, at: int, limit: int) -> Step | None:
    """After a SASL bind that agreed on a security layer: lengths and what they wrap (RFC 4422, 3.7)."""
    passed = Passed(packet, SMALL_PROTECTED)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, 4, limit)
        size = packet.uint(NAME, at, 4, limit)
        end = entire(packet, NAME, at, 4 + size, limit)
        if roomy(packet):
            packet.column("ldap", before(packet, NAME) or "SASL GSS-API Privacy (payload encrypted)")
            layer = packet.layer(LDAP.field, at, packet.end(min(end, limit)) - at)
            packet.add(layer, SASL_LENGTH, size, at, 4)
            raw = packet.rest(at + 4, min(end, limit))
            packet.add(layer, SASL_DATA, raw, at + 4, len(raw))
        else:
            passed.single(at, end)
        at = end
    return None


def _show(packet: Packet, header: Header, at: int, limit: int, memory: Memory) -> None:
    label = "LDAP" if header is LDAP else "CLDAP"
    said = before(packet, label)
    packet.column(header.prefix, f"{said} | " if said else "")
    layer = packet.layer(header.field, at, packet.end(limit) - at)
    if not contained(packet, _message, layer, at, limit, memory):
        packet.info += MALFORMED_MARK


def _message(packet: Packet, layer: Item, at: int, limit: int, memory: Memory) -> None:
    whole = element(packet, at, limit)
    first = element(packet, whole.at, whole.end)
    ident = int.from_bytes(packet.take(NAME, first.at, first.end - first.at, whole.end), "big")
    body = element(packet, first.end, whole.end)
    code = body.tag & 0x1F
    name = OPERATIONS.get(code, f"unknown ({code})")
    packet.info += f"{name}({ident}) "
    item = packet.add(layer, MESSAGE, None, at, min(whole.end, packet.caplen) - at)
    packet.add(item, MESSAGE_ID, ident, first.start, first.size)
    parent = packet.add(item, OPERATION, code, body.start, body.size)
    start = len(packet.info)
    try:
        show = SHOW.get(code)
        if show is not None:
            show(_Message(packet, parent, body, memory))
    finally:
        item.said = f"{name}({ident}) {packet.info[start:]}"
    if body.end < whole.end and packet.uint(NAME, body.end, 1, whole.end) == 0xA0:
        _controls(packet, item, element(packet, body.end, whole.end))


class _Message:
    """The operation of a message while it is shown."""

    def __init__(self, packet: Packet, parent: Item, body: Element, memory: Memory) -> None:
        self.packet, self.parent, self.body, self.memory = packet, parent, body, memory
        self.at = body.at

    def say(self, words: str) -> None:
        """More of the Info column."""
        self.packet.info += words

    def next(self) -> Element | None:
        """The element that follows, None at the end."""
        if self.at >= self.body.end:
            return None
        found = element(self.packet, self.at, self.body.end)
        self.at = found.end
        return found

    def must(self) -> Element:
        found = self.next()
        if found is None:
            raise Short(NAME, self.at, 2, self.body.end)
        return found

    def text(self, field: Field, parent: Item | None = None) -> bytes:
        return show_text(self.packet, parent or self.parent, field, self.must())

    def number(self, field: Field) -> int:
        return show_number(self.packet, self.parent, field, self.must())


def show_text(packet: Packet, parent: Item, field: Field, found: Element) -> bytes:
    """The content of an element as a line."""
    raw = packet.data[found.at : found.end]
    packet.add(parent, field, raw, found.start, min(found.end, packet.caplen) - found.start)
    packet.check(NAME, found.at, found.end - found.at, found.end)
    return raw


def show_number(packet: Packet, parent: Item, field: Field, found: Element) -> int:
    raw = packet.take(NAME, found.at, found.end - found.at, found.end)
    value = int.from_bytes(raw[:8], "big")
    packet.add(parent, field, value, found.start, found.size)
    return value


def _quoted(raw: bytes) -> str:
    return f'"{raw.decode("utf-8", "surrogateescape") or "<ROOT>"}" '


def _bind(message: _Message) -> None:
    packet = message.packet
    message.number(VERSION)
    name = message.text(BIND_NAME)
    message.say(_quoted(name))
    found = message.must()
    kind = found.tag & 0x1F
    parent = packet.add(message.parent, AUTHENTICATION, kind, found.start, found.size)
    if kind == 0:
        message.say("simple ")
        show_text(packet, parent, SIMPLE, found)
        return
    if kind != 3:
        show_text(packet, parent, CREDENTIALS, found)
        _ntlm(message, parent, found)
        return
    mechanism = element(packet, found.at, found.end)
    name = show_text(packet, parent, MECHANISM, mechanism)
    message.memory["mechanism"] = name
    if mechanism.end < found.end:
        given = element(packet, mechanism.end, found.end)
        show_text(packet, parent, CREDENTIALS, given)
        _ntlm(message, parent, given)
    message.say("sasl ")


def _ntlm(message: _Message, parent: Item, found: Element) -> None:
    """What signs in where, if the element holds an NTLMSSP message."""
    message.say(ntlmssp(message.packet, parent, found.at, found.end))


def _result(message: _Message) -> int:
    """Result, the name that matched, what the server says of it (RFC 4511, 4.1.9)."""
    packet = message.packet
    code = message.number(RESULT)
    message.say(f"{RESULTS.get(code, code)} ")
    matched = message.must()
    show_text(packet, message.parent, MATCHED, matched)
    _ntlm(message, message.parent, matched)
    said = message.text(DIAGNOSTIC)
    if said and code:
        message.say(f"({said.decode('utf-8', 'surrogateescape')}) ")
    if message.at < message.body.end and packet.data[message.at : message.at + 1] == b"\xa3":
        referral = message.must()
        at = referral.at
        while at < referral.end:
            each = element(packet, at, referral.end)
            show_text(packet, message.parent, URL, each)
            at = each.end
    return code


def _bound(message: _Message) -> None:
    code = _result(message)
    while (found := message.next()) is not None:
        show_text(message.packet, message.parent, SERVER_CREDENTIALS, found)
        _ntlm(message, message.parent, found)
    if code == SUCCESS and message.memory.get("mechanism"):
        message.memory["sasl"] = True


def _search(message: _Message) -> None:
    packet = message.packet
    base = message.text(BASE)
    scope = message.number(SCOPE)
    message.say(f"{_quoted(base)}{SCOPES.get(scope, scope)} ")
    message.number(DEREFERENCE)
    message.number(SIZE_LIMIT)
    message.number(TIME_LIMIT)
    only = message.must()
    packet.add(message.parent, TYPES_ONLY, packet.data[only.at : only.end] not in (b"", b"\0"), only.start, only.size)
    _filter(packet, message.parent, message.must(), 0)
    wanted = message.next()
    if wanted is None:
        return
    parent = packet.add(message.parent, ATTRIBUTES, 0, wanted.start, wanted.size)
    at = many = 0
    at = wanted.at
    while at < wanted.end:
        each = element(packet, at, wanted.end)
        show_text(packet, parent, WANTED, each)
        at, many = each.end, many + 1
    parent.value = many


def _filter(packet: Packet, parent: Item, found: Element, depth: int) -> str:
    """A filter as a tree and as RFC 4515 writes it."""
    kind = found.tag & 0x1F
    item = packet.add(parent, FILTER, kind, found.start, found.size)
    if depth >= MAX_DEPTH:
        raise Malformed("LDAP: filters nest too deep", found.start)
    if kind in (0, 1, 2):
        at, words = found.at, []
        while at < found.end:
            each = element(packet, at, found.end)
            words.append(_filter(packet, item, each, depth + 1))
            at = each.end
        said = f"({'&|!'[kind]}{''.join(words)})"
    elif kind == 7:
        said = f"({_text(show_text(packet, item, PRESENT, found))}=*)"
    elif kind == 4:
        said = _substrings(packet, item, found)
    elif kind == 9:
        said = _extensible(packet, item, found)
    elif kind in COMPARED:
        name = element(packet, found.at, found.end)
        value = element(packet, name.end, found.end)
        left, right = show_text(packet, item, ASSERTED, name), show_text(packet, item, ASSERTION, value)
        said = f"({_text(left)}{COMPARED[kind]}{_text(right)})"
    else:
        raise Malformed(f"LDAP: filter {kind} is not known", found.start)
    item.said = said
    return said


COMPARED: Final = {3: "=", 5: ">=", 6: "<=", 8: "~="}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _substrings(packet: Packet, item: Item, found: Element) -> str:
    name = element(packet, found.at, found.end)
    parts = element(packet, name.end, found.end)
    said = _text(show_text(packet, item, TYPE, name)) + "="
    at, last = parts.at, 0
    while at < parts.end:
        each = element(packet, at, parts.end)
        last = min(each.tag & 0x1F, 2)
        said += ("*" if last else "") + _text(show_text(packet, item, SUBSTRINGS[last], each))
        at = each.end
    return f"({said}{'' if last == 2 else '*'})"


def _extensible(packet: Packet, item: Item, found: Element) -> str:
    """attribute:dn:rule:=value, of which parts may be missing."""
    at, parts = found.at, {1: "", 2: "", 3: "", 4: ""}
    while at < found.end:
        each = element(packet, at, found.end)
        kind = each.tag & 0x1F
        if kind in (1, 2, 3):
            parts[kind] = _text(show_text(packet, item, {1: RULE, 2: TYPE, 3: MATCH_VALUE}[kind], each))
        elif kind == 4:
            parts[4] = ":dn"
        at = each.end
    return f"({parts[2]}{parts[4]}{':' + parts[1] if parts[1] else ''}:={parts[3]})"


def _attributes(message: _Message, found: Element) -> None:
    """A list of types and values."""
    packet = message.packet
    many = 0
    parent = packet.add(message.parent, ATTRIBUTES, 0, found.start, found.size)
    at = found.at
    while at < found.end:
        each = element(packet, at, found.end)
        _attribute(packet, packet.add(parent, ATTRIBUTE, None, each.start, each.size), each)
        at, many = each.end, many + 1
    parent.value = many


def _attribute(packet: Packet, item: Item, found: Element) -> None:
    name = element(packet, found.at, found.end)
    item.said = _text(show_text(packet, item, TYPE, name))
    if name.end >= found.end:
        return
    values = element(packet, name.end, found.end)
    parent = packet.add(item, VALUES, 0, values.start, values.size)
    at, many = values.at, 0
    while at < values.end:
        each = element(packet, at, values.end)
        raw = packet.data[each.at : each.end]
        shown = _text(raw) if len(raw) < 256 and _readable(raw) else ""
        packet.add(parent, VALUE, raw, each.start, each.size, shown)
        at, many = each.end, many + 1
    parent.value = many


def _readable(raw: bytes) -> bool:
    try:
        return raw.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False


def _found(message: _Message) -> None:
    message.memory["results"] = message.memory.get("results", 0) + 1
    message.say(_quoted(message.text(OBJECT_NAME)))
    _attributes(message, message.must())


def _done(message: _Message) -> None:
    _result(message)
    many = message.memory.get("results", 0)
    message.say(f" [{many} result{'' if many == 1 else 's'}]")


def _referred(message: _Message) -> None:
    while (found := message.next()) is not None:
        show_text(message.packet, message.parent, URL, found)


def _modify(message: _Message) -> None:
    packet = message.packet
    message.say(_quoted(message.text(OBJECT)))
    changes = message.must()
    at = changes.at
    while at < changes.end:
        each = element(packet, at, changes.end)
        kind = element(packet, each.at, each.end)
        item = packet.add(message.parent, ATTRIBUTE, None, each.start, each.size)
        show_number(packet, item, CHANGE, kind)
        _attribute(packet, item, element(packet, kind.end, each.end))
        at = each.end


def _add(message: _Message) -> None:
    message.say(_quoted(message.text(ENTRY)))
    _attributes(message, message.must())


def _delete(message: _Message) -> None:
    message.say(_quoted(show_text(message.packet, message.parent, DELETED, message.body)))


def _rename(message: _Message) -> None:
    packet = message.packet
    message.say(_quoted(message.text(ENTRY)))
    message.text(NEW_NAME)
    old = message.must()
    packet.add(message.parent, DELETE_OLD, packet.data[old.at : old.end] not in (b"", b"\0"), old.start, old.size)
    if message.at < message.body.end:
        message.text(NEW_PARENT)


def _compare(message: _Message) -> None:
    packet = message.packet
    message.say(_quoted(message.text(ENTRY)))
    pair = message.must()
    name = element(packet, pair.at, pair.end)
    show_text(packet, message.parent, ASSERTED, name)
    show_text(packet, message.parent, ASSERTION, element(packet, name.end, pair.end))


def _abandon(message: _Message) -> None:
    show_number(message.packet, message.parent, ABANDONED, message.body)


def _extended(message: _Message) -> None:
    name = message.text(REQUEST_NAME)
    message.say(f"{OIDS.get(name.decode('ascii', 'replace'), _text(name))} ")
    message.memory["asked"] = name
    if message.at < message.body.end:
        message.text(REQUEST_VALUE)


def _answered(message: _Message) -> None:
    packet = message.packet
    code = show_number(packet, message.parent, RESULT, message.must())
    message.text(MATCHED)
    message.text(DIAGNOSTIC)
    name = b""
    while (found := message.next()) is not None:
        if found.tag & 0x1F == 10:
            name = show_text(packet, message.parent, RESPONSE_NAME, found)
            message.say(f"{OIDS.get(name.decode('ascii', 'replace'), _text(name))} ")
        else:
            show_text(packet, message.parent, RESPONSE_VALUE, found)
    if code == SUCCESS and START_TLS in (name, message.memory.pop("asked", b"")):
        packet.settle_on(tls)


def _controls(packet: Packet, item: Item, found: Element) -> None:
    at = found.at
    while at < found.end:
        each = element(packet, at, found.end)
        kind = element(packet, each.at, each.end)
        name = packet.data[kind.at : kind.end].decode("ascii", "replace")
        packet.add(item, CONTROL_TYPE, name, kind.start, kind.size, f"{name} ({OIDS[name]})" if name in OIDS else "")
        where = kind.end
        while where < each.end:
            part = element(packet, where, each.end)
            if part.tag == 1:
                packet.add(item, CRITICAL, packet.data[part.at : part.end] != b"\0", part.start, part.size)
            else:
                show_text(packet, item, CONTROL_VALUE, part)
            where = part.end
        at = each.end


SHOW: Final = {
    0: _bind,
    1: _bound,
    3: _search,
    4: _found,
    5: _done,
    6: _modify,
    7: _result,
    8: _add,
    9: _result,
    10: _delete,
    11: _result,
    12: _rename,
    13: _result,
    14: _compare,
    15: _result,
    16: _abandon,
    19: _referred,
    23: _extended,
    24: _answered,
}
