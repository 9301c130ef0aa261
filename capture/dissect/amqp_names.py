"""Tables of AMQP: classes and methods of 0-9-1 with their arguments, performatives of 1.0."""

from __future__ import annotations

from typing import Final

__all__ = ["CLASSES", "METHODS", "PERFORMATIVES", "PROPERTIES", "SASL"]

CLASSES: Final = {
    10: "Connection",
    20: "Channel",
    30: "Access",
    40: "Exchange",
    50: "Queue",
    60: "Basic",
    70: "File",
    80: "Stream",
    85: "Confirm",
    90: "Tx",
    100: "Dtx",
    110: "Tunnel",
}
EXCHANGE_FLAGS: Final = "b:passive b:durable b:auto_delete b:internal b:nowait T:arguments"
METHODS: Final = {
    10: {
        10: ("Start", "o:version_major o:version_minor T:server_properties S:mechanisms S:locales"),
        11: ("Start-Ok", "T:client_properties s:mechanism S:response s:locale"),
        20: ("Secure", "S:challenge"),
        21: ("Secure-Ok", "S:response"),
        30: ("Tune", "h:channel_max l:frame_max h:heartbeat"),
        31: ("Tune-Ok", "h:channel_max l:frame_max h:heartbeat"),
        40: ("Open", "s:virtual_host s:capabilities b:insist"),
        41: ("Open-Ok", "s:known_hosts"),
        50: ("Close", "h:reply_code s:reply_text h:class_id h:method_id"),
        51: ("Close-Ok", ""),
        60: ("Blocked", "s:reason"),
        61: ("Unblocked", ""),
        70: ("Update-Secret", "S:response s:reason"),
        71: ("Update-Secret-Ok", ""),
    },
    20: {
        10: ("Open", "s:out_of_band"),
        11: ("Open-Ok", "S:channel_id"),
        20: ("Flow", "b:active"),
        21: ("Flow-Ok", "b:active"),
        40: ("Close", "h:reply_code s:reply_text h:class_id h:method_id"),
        41: ("Close-Ok", ""),
    },
    40: {
        10: ("Declare", f"h:ticket s:exchange s:type {EXCHANGE_FLAGS}"),
        11: ("Declare-Ok", ""),
        20: ("Delete", "h:ticket s:exchange b:if_unused b:nowait"),
        21: ("Delete-Ok", ""),
        30: ("Bind", "h:ticket s:destination s:source s:routing_key b:nowait T:arguments"),
        31: ("Bind-Ok", ""),
        40: ("Unbind", "h:ticket s:destination s:source s:routing_key b:nowait T:arguments"),
        51: ("Unbind-Ok", ""),
    },
    50: {
        10: ("Declare", "h:ticket s:queue b:passive b:durable b:exclusive b:auto_delete b:nowait T:arguments"),
        11: ("Declare-Ok", "s:queue l:message_count l:consumer_count"),
        20: ("Bind", "h:ticket s:queue s:exchange s:routing_key b:nowait T:arguments"),
        21: ("Bind-Ok", ""),
        30: ("Purge", "h:ticket s:queue b:nowait"),
        31: ("Purge-Ok", "l:message_count"),
        40: ("Delete", "h:ticket s:queue b:if_unused b:if_empty b:nowait"),
        41: ("Delete-Ok", "l:message_count"),
        50: ("Unbind", "h:ticket s:queue s:exchange s:routing_key T:arguments"),
        51: ("Unbind-Ok", ""),
    },
    60: {
        10: ("Qos", "l:prefetch_size h:prefetch_count b:global"),
        11: ("Qos-Ok", ""),
        20: ("Consume", "h:ticket s:queue s:consumer_tag b:no_local b:no_ack b:exclusive b:nowait T:filter"),
        21: ("Consume-Ok", "s:consumer_tag"),
        30: ("Cancel", "s:consumer_tag b:nowait"),
        31: ("Cancel-Ok", "s:consumer_tag"),
        40: ("Publish", "h:ticket s:exchange s:routing_key b:mandatory b:immediate"),
        50: ("Return", "h:reply_code s:reply_text s:exchange s:routing_key"),
        60: ("Deliver", "s:consumer_tag L:delivery_tag b:redelivered s:exchange s:routing_key"),
        70: ("Get", "h:ticket s:queue b:no_ack"),
        71: ("Get-Ok", "L:delivery_tag b:redelivered s:exchange s:routing_key l:message_count"),
        72: ("Get-Empty", "s:cluster_id"),
        80: ("Ack", "L:delivery_tag b:multiple"),
        90: ("Reject", "L:delivery_tag b:requeue"),
        100: ("Recover-Async", "b:requeue"),
        110: ("Recover", "b:requeue"),
        111: ("Recover-Ok", ""),
        120: ("Nack", "L:delivery_tag b:multiple b:requeue"),
    },
    85: {10: ("Select", "b:nowait"), 11: ("Select-Ok", "")},
    90: {
        10: ("Select", ""),
        11: ("Select-Ok", ""),
        20: ("Commit", ""),
        21: ("Commit-Ok", ""),
        30: ("Rollback", ""),
        31: ("Rollback-Ok", ""),
    },
}
"""Class → method → name and arguments: o, h, l, L: an integer of 1, 2, 4, 8 bytes; s, S: a string with a length of 1,
4 bytes; T: a table; b: a bit, of which those side by side share a byte."""

PROPERTIES: Final = (
    ("content_type", "Content-Type", "s"),
    ("content_encoding", "Content-Encoding", "s"),
    ("headers", "Headers", "T"),
    ("delivery_mode", "Delivery-Mode", "o"),
    ("priority", "Priority", "o"),
    ("correlation_id", "Correlation-Id", "s"),
    ("reply_to", "Reply-To", "s"),
    ("expiration", "Expiration", "s"),
    ("message_id", "Message-Id", "s"),
    ("timestamp", "Timestamp", "L"),
    ("type", "Type", "s"),
    ("user_id", "User-Id", "s"),
    ("app_id", "App-Id", "s"),
    ("cluster_id", "Cluster-Id", "s"),
)
"""Of a message, the first in the highest bit of its flags (0-9-1, 4.2.6.1)."""

PERFORMATIVES: Final = {
    0x10: "open",
    0x11: "begin",
    0x12: "attach",
    0x13: "flow",
    0x14: "transfer",
    0x15: "disposition",
    0x16: "detach",
    0x17: "end",
    0x18: "close",
}
SASL: Final = {0x40: "mechanisms", 0x41: "init", 0x42: "challenge", 0x43: "response", 0x44: "outcome"}
