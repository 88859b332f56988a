"""Recording metadata as RFC 7865 has it, read by parsers that are not ours: Python's of MIME and of XML."""

import base64
import datetime
import email
import re
from xml.etree import ElementTree

NAMESPACE = "{urn:ietf:params:xml:ns:recording:1}"
TIMES = [("associate-time", "?"), ("disassociate-time", "?")]

# Of each element the attributes that it must have, and the elements in it: in this order, and so many of each.
ELEMENTS = {
    "recording": ([], [
        ("datamode", "?"), ("group", "*"), ("session", "*"), ("participant", "*"), ("stream", "*"), ("sessionrecordingassoc", "*"),
        ("participantsessionassoc", "*"), ("participantstreamassoc", "*")]),
    "group": (["group_id"], TIMES),
    "session": (["session_id"], [("sipSessionID", "*"), ("reason", "*"), ("group-ref", "?"), ("start-time", "?"), ("stop-time", "?")]),
    "participant": (["participant_id"], [("nameID", "*")]),
    "nameID": (["aor"], [("name", "?")]),
    "stream": (["stream_id", "session_id"], [("label", "?"), ("content-type", "?")]),
    "sessionrecordingassoc": (["session_id"], TIMES),
    "participantsessionassoc": (["participant_id", "session_id"], [*TIMES, ("param", "*")]),
    "participantstreamassoc": (["participant_id"], [("send", "*"), ("recv", "*"), *TIMES]),
}
ELEMENTS |= {name: ([], []) for _, inside in ELEMENTS.values() for name, _ in inside if name not in ELEMENTS}


def parts(content_type, body):
    """The parts of a body of several: their types, dispositions and contents."""
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    assert message.is_multipart() and not message.defects, message.defects
    return [(part.get_content_type(), part.get_content_disposition(), part.get_payload(decode=True)) for part in message.get_payload()]


def read(document):
    """The document, once all of it is as it must be."""
    recording = ElementTree.fromstring(document)
    assert recording.tag == f"{NAMESPACE}recording", recording.tag
    check(recording)
    assert recording.findtext(f"{NAMESPACE}datamode") in ("complete", "partial")
    known = {kind: [one.get(f"{kind}_id") for one in all_of(recording, kind)] for kind in ("session", "participant", "stream")}
    for kind, ids in known.items():
        assert len(ids) == len(set(ids)) > 0, (kind, ids)
        assert all(len(base64.b64decode(one, validate=True)) == 16 for one in ids), (kind, ids)
    for element in recording:
        for kind, ids in known.items():
            assert element.get(f"{kind}_id", ids[0]) in ids, f"{element.tag} is of no {kind}"
        assert {stream.text for name in ("send", "recv") for stream in all_of(element, name)} <= set(known["stream"])
    return recording


def check(element):
    """Names, attributes, order and number of what is in an element, and what times look like."""
    name = element.tag.removeprefix(NAMESPACE)
    attributes, inside = ELEMENTS[name]
    assert set(element.keys()) == set(attributes), f"{name} has {element.keys()}"
    order = " ".join(child.tag.removeprefix(NAMESPACE) for child in element)
    assert re.fullmatch("".join(f"({child}( |$)){many}" for child, many in inside), order), f"{name} has in it {order}"
    if name.endswith("-time"):
        assert datetime.datetime.fromisoformat(element.text).tzinfo, element.text
    for child in element:
        check(child)


def all_of(element, name):
    return element.findall(NAMESPACE + name)
