"""What the numbers of BACnet's application layer mean (ASHRAE 135, clause 21)."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABORTS",
    "ACKNOWLEDGED",
    "CLASSES",
    "ERRORS",
    "OBJECTS",
    "PROPERTIES",
    "REJECTS",
    "SAID",
    "TAGS",
    "UNACKNOWLEDGED",
]

SAID: Final = {
    0: "Confirmed-REQ",
    1: "Unconfirmed-REQ",
    2: "Simple-ACK",
    3: "Complex-ACK",
    4: "Segment-ACK",
    5: "Error",
    6: "Reject",
    7: "Abort",
}
ACKNOWLEDGED: Final = dict(
    enumerate(
        [
            "acknowledgeAlarm",
            "confirmedCOVNotification",
            "confirmedEventNotification",
            "getAlarmSummary",
            "getEnrollmentSummary",
            "subscribeCOV",
            "atomicReadFile",
            "atomicWriteFile",
            "addListElement",
            "removeListElement",
            "createObject",
            "deleteObject",
            "readProperty",
            "readPropertyConditional",
            "readPropertyMultiple",
            "writeProperty",
            "writePropertyMultiple",
            "deviceCommunicationControl",
            "confirmedPrivateTransfer",
            "confirmedTextMessage",
            "reinitializeDevice",
            "vtOpen",
            "vtClose",
            "vtData",
            "authenticate",
            "requestKey",
            "readRange",
            "lifeSafetyOperation",
            "subscribeCOVProperty",
            "getEventInformation",
            "subscribeCovPropertyMultiple",
            "confirmedCovNotificationMultiple",
            "confirmedAuditNotification",
            "auditLogQuery",
        ]
    )
)
UNACKNOWLEDGED: Final = dict(
    enumerate(
        [
            "i-Am",
            "i-Have",
            "unconfirmedCOVNotification",
            "unconfirmedEventNotification",
            "unconfirmedPrivateTransfer",
            "unconfirmedTextMessage",
            "timeSynchronization",
            "who-Has",
            "who-Is",
            "utcTimeSynchronization",
            "writeGroup",
            "unconfirmedCovNotificationMultiple",
            "unconfirmedAuditNotification",
            "who-am-I",
            "you-are",
        ]
    )
)
OBJECTS: Final = dict(
    enumerate(
        [
            "analog-input",
            "analog-output",
            "analog-value",
            "binary-input",
            "binary-output",
            "binary-value",
            "calendar",
            "command",
            "device",
            "event-enrollment",
            "file",
            "group",
            "loop",
            "multi-state-input",
            "multi-state-output",
            "notification-class",
            "program",
            "schedule",
            "averaging",
            "multi-state-value",
            "trend-log",
            "life-safety-point",
            "life-safety-zone",
            "accumulator",
            "pulse-converter",
            "event-log",
            "global-group",
            "trend-log-multiple",
            "load-control",
            "structured-view",
            "access-door",
            "timer",
        ]
    )
)
PROPERTIES: Final = {
    0: "acked-transitions",
    4: "active-text",
    8: "all",
    11: "apdu-timeout",
    22: "cov-increment",
    24: "daylights-savings-status",
    28: "description",
    31: "device-type",
    36: "event-state",
    44: "firmware-revision",
    46: "inactive-text",
    56: "local-date",
    58: "location",
    62: "max-apdu-length-accepted",
    65: "max-pres-value",
    69: "min-pres-value",
    70: "model-name",
    72: "notify-type",
    74: "number-of-states",
    75: "object-identifier",
    76: "object-list",
    77: "object-name",
    79: "object-type",
    81: "out-of-service",
    85: "present-value",
    87: "priority-array",
    88: "priority-for-writing",
    98: "protocol-version",
    103: "reliability",
    107: "segmentation-supported",
    110: "state-text",
    111: "status-flags",
    112: "system-status",
    117: "units",
    120: "vendor-identifier",
    121: "vendor-name",
    139: "protocol-revision",
    155: "database-revision",
    371: "property-list",
}
CLASSES: Final = dict(
    enumerate(["device", "object", "property", "resources", "security", "services", "vt", "communication"])
)
ERRORS: Final = {
    0: "other",
    3: "device-busy",
    9: "invalid-data-type",
    16: "missing-required-parameter",
    25: "operational-problem",
    26: "password-failure",
    27: "read-access-denied",
    29: "service-request-denied",
    30: "timeout",
    31: "unknown-object",
    32: "unknown-property",
    36: "unsupported-object-type",
    37: "value-out-of-range",
    40: "write-access-denied",
    42: "invalid-array-index",
    45: "optional-functionality-not-supported",
}
REJECTS: Final = dict(
    enumerate(
        [
            "other",
            "buffer-overflow",
            "inconsistent-parameters",
            "invalid-parameter-data-type",
            "invalid-tag",
            "missing-required-parameter",
            "parameter-out-of-range",
            "too-many-arguments",
            "undefined-enumeration",
            "unrecognized-service",
        ]
    )
)
ABORTS: Final = dict(
    enumerate(
        [
            "other",
            "buffer-overflow",
            "invalid-apdu-in-this-state",
            "preempted-by-higher-priority-task",
            "segmentation-not-supported",
            "security-error",
            "insufficient-security",
            "window-size-out-of-range",
            "application-exceeded-reply-time",
            "out-of-resources",
            "tsm-timeout",
            "apdu-too-long",
        ]
    )
)
TAGS: Final = {
    0: "Null",
    1: "Boolean",
    2: "Unsigned Integer",
    3: "Signed Integer (2's Complement)",
    4: "Real (ANSI/IEE-754 floating point)",
    5: "Double (ANSI/IEE-754 double precision floating point)",
    6: "Octet String",
    7: "Character String",
    8: "Bit String",
    9: "Enumerated",
    10: "Date",
    11: "Time",
    12: "BACnetObjectIdentifier",
}
"""Of the application's own types (20.2.1.4)."""
