"""The fields of TLS and DTLS, which name theirs alike: `tls.handshake.type`, `dtls.handshake.type`."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import (
    Bytes,
    Header,
    Hex16,
    address,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.tls_names import (
    ALERT_LEVELS,
    ALERTS,
    CERTIFICATE_TYPES,
    CIPHERS,
    CLIENT_CERTIFICATE_TYPES,
    EXTENSIONS,
    GROUPS,
    HANDSHAKES,
    HASHES,
    POINT_FORMATS,
    QUIC_PARAMETERS,
    SIGNATURES,
    SIGNERS,
    VERSIONS,
)

__all__ = ["DTLS", "TLS", "Names"]

QUIC_NUMBERS: Final = (1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 32, 0x1057, 0x7158)
"""Transport parameters that are integers (RFC 9000, 18.2)."""
QUIC_BYTES: Final = (0, 2, 15, 16)


def _seconds(value: int) -> str:
    """`7200 seconds (2 hours)`"""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if value and value % size == 0:
            many = value // size
            return f"{value} seconds ({many} {unit}{'s' if many > 1 else ''})"
    return f"{value} seconds"


class Names:
    """The fields of one of the two."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        name = f"{prefix}.handshake"
        extensions = f"{name}.extensions"
        self.message = group(name, "Handshake Protocol")
        self.type = number(f"{name}.type", "Handshake Type", HANDSHAKES)
        self.length = number(f"{name}.length", "Length")

        # hellos
        self.hello = Header(
            name, "Hello", (Hex16("version", "Version", VERSIONS), Bytes("random", "Random", 32)), name=""
        )
        self.random_time = text(f"{name}.random_time", "GMT Unix Time")
        self.random_bytes = octets(f"{name}.random_bytes", "Random Bytes")
        self.session_length = number(f"{name}.session_id_length", "Session ID Length")
        self.session = octets(f"{name}.session_id", "Session ID")
        self.cookie_length = number(f"{name}.cookie_length", "Cookie Length")
        self.cookie = octets(f"{name}.cookie", "Cookie")
        self.suites_length = number(f"{name}.cipher_suites_length", "Cipher Suites Length")
        self.suites = group(f"{name}.ciphersuites", "Cipher Suites")
        self.suite = number(f"{name}.ciphersuite", "Cipher Suite", CIPHERS, digits=4)
        self.compressions_length = number(f"{name}.comp_methods_length", "Compression Methods Length")
        self.compressions = group(f"{name}.comp_methods", "Compression Methods")
        self.compression = number(f"{name}.comp_method", "Compression Method", {0: "null", 1: "DEFLATE", 64: "LZS"})
        self.ja3 = text(f"{name}.ja3", "JA3")
        self.ja3_full = text(f"{name}.ja3_full", "JA3 Fullstring")
        self.ja3s = text(f"{name}.ja3s", "JA3S")
        self.ja3s_full = text(f"{name}.ja3s_full", "JA3S Fullstring")
        self.ja4 = text(f"{name}.ja4", "JA4")
        self.ja4_raw = text(f"{name}.ja4_r", "JA4_r")

        # extensions
        self.extensions_length = number(f"{name}.extensions_length", "Extensions Length")
        self.extension = number(f"{name}.extension.type", "Extension", EXTENSIONS)
        self.extension_length = number(f"{name}.extension.len", "Length")
        self.extension_data = octets(f"{name}.extension.data", "Data")
        self.server_names_length = number(f"{extensions}_server_name_list_len", "Server Name list length")
        self.server_name_type = number(f"{extensions}_server_name_type", "Server Name Type", {0: "host_name"})
        self.server_name_length = number(f"{extensions}_server_name_len", "Server Name length")
        self.server_name = text(f"{extensions}_server_name", "Server Name")
        self.max_fragment = number(
            f"{name}.max_fragment_length", "Maximum Fragment Length", {1: "512", 2: "1024", 3: "2048", 4: "4096"}
        )
        self.status_type = number(
            f"{extensions}_status_request_type", "Certificate Status Type", {1: "OCSP", 2: "OCSP Multi"}
        )
        self.status_responders = number(f"{extensions}_status_request_responder_ids_len", "Responder ID list Length")
        self.status_extensions = number(f"{extensions}_status_request_exts_len", "Request Extensions Length")
        self.groups_length = number(f"{extensions}_supported_groups_length", "Supported Groups List Length")
        self.groups = group(f"{extensions}_supported_groups", "Supported Groups")
        self.group = number(f"{extensions}_supported_group", "Supported Group", GROUPS, digits=4)
        self.formats_length = number(f"{extensions}_ec_point_formats_length", "EC point formats Length")
        self.formats = group(f"{extensions}_ec_point_formats", "Elliptic curves point formats")
        self.format = number(f"{extensions}_ec_point_format", "EC point format", POINT_FORMATS)
        self.algorithms_length = number(f"{name}.sig_hash_alg_len", "Signature Hash Algorithms Length")
        self.algorithms = group(f"{name}.sig_hash_algs", "Signature Hash Algorithms")
        self.algorithm = number(f"{name}.sig_hash_alg", "Signature Algorithm", SIGNATURES, digits=4)
        self.hash = number(f"{name}.sig_hash_hash", "Signature Hash Algorithm Hash", HASHES)
        self.signer = number(f"{name}.sig_hash_sig", "Signature Hash Algorithm Signature", SIGNERS)
        self.heartbeat_mode = number(
            f"{name}.extension.heartbeat.mode",
            "Mode",
            {1: "Peer allowed to send requests", 2: "Peer not allowed to send requests"},
        )
        self.alpn_length = number(f"{extensions}_alpn_len", "ALPN Extension Length")
        self.alpn_list = group(f"{extensions}_alpn_list", "ALPN Protocol")
        self.alpn_size = number(f"{extensions}_alpn_str_len", "ALPN string length")
        self.alpn = text(f"{extensions}_alpn_str", "ALPN Next Protocol")
        self.alps_length = number(f"{extensions}_alps_len", "ALPS Extension Length")
        self.alps_size = number(f"{extensions}_alps_alpn_str_len", "Supported ALPN Length")
        self.alps = text(f"{extensions}_alps_alpn_str", "Supported ALPN")
        self.npn_size = number(f"{extensions}_npn_str_len", "Protocol string length")
        self.npn = text(f"{extensions}_npn", "Next Protocol")
        self.certificate_kinds_length = number(f"{name}.cert_type.types_len", "Certificate Type List Length")
        self.certificate_kind = number(f"{name}.cert_type.type", "Certificate Type", CERTIFICATE_TYPES)
        self.padding = octets(f"{extensions}_padding_data", "Padding Data")
        self.compressors_length = number(f"{prefix}.compress_certificate.algorithms_length", "Algorithms Length")
        self.compressor = number(
            f"{prefix}.compress_certificate.algorithm", "Algorithm", {1: "zlib", 2: "brotli", 3: "zstd"}
        )
        self.uncompressed = number(f"{prefix}.compress_certificate.uncompressed_length", "Uncompressed Length")
        self.compressed_length = number(
            f"{prefix}.compress_certificate.compressed_certificate_message.length", "Length"
        )
        self.compressed = octets(
            f"{prefix}.compress_certificate.compressed_certificate_message", "Compressed Certificate Message"
        )
        self.record_limit = number(f"{prefix}.record_size_limit", "Record Size Limit")
        self.psk_identities_length = number(f"{extensions}.psk.identities.length", "Identities Length")
        self.psk_identity_length = number(f"{extensions}.psk.identity.identity_length", "Identity Length")
        self.psk_identity = octets(f"{extensions}.psk.identity.identity", "Identity")
        self.psk_age = number(f"{extensions}.psk.identity.obfuscated_ticket_age", "Obfuscated Ticket Age")
        self.psk_binders_length = number(f"{extensions}.psk.binders_len", "PSK Binders length")
        self.psk_binders = group(f"{extensions}.psk.binders", "PSK Binders")
        self.psk_selected = number(f"{extensions}.psk.identity.selected", "Selected Identity")
        self.early_data = number(f"{prefix}.early_data.max_early_data_size", "Maximum Early Data Size")
        self.versions_length = number(f"{extensions}.supported_versions_len", "Supported Versions length")
        self.version = number(f"{extensions}.supported_version", "Supported Version", VERSIONS, digits=4)
        self.retry_cookie_length = number(f"{extensions}.cookie_len", "Cookie length")
        self.retry_cookie = octets(f"{extensions}.cookie", "Cookie")
        self.psk_modes_length = number(f"{prefix}.extension.psk_ke_modes_length", "PSK Key Exchange Modes Length")
        self.psk_mode = number(
            f"{prefix}.extension.psk_ke_mode",
            "PSK Key Exchange Mode",
            {
                0: "PSK-only key establishment (psk_ke)",
                1: "PSK with (EC)DHE key establishment (psk_dhe_ke)",
            },
        )
        self.shares_length = number(f"{extensions}_key_share_client_length", "Client Key Share Length")
        self.share = number(f"{extensions}_key_share_group", "Group", GROUPS)
        self.share_selected = number(f"{extensions}_key_share_selected_group", "Selected Group", GROUPS)
        self.share_length = number(f"{extensions}_key_share_key_exchange_length", "Key Exchange Length")
        self.share_key = octets(f"{extensions}_key_share_key_exchange", "Key Exchange")
        self.renegotiation_length = number(f"{extensions}_reneg_info_len", "Renegotiation info extension length")
        self.renegotiation = octets(f"{extensions}_reneg_info", "Renegotiation info")
        self.connection_length = number(f"{prefix}.connection_id_length", "Connection ID length")
        self.connection = octets(f"{prefix}.connection_id", "Connection ID")
        self.scts_length = number(f"{prefix}.sct.scts_length", "Serialized SCT List Length")
        self.sct_length = number(f"{prefix}.sct.sct_length", "Serialized SCT Length")
        self.sct_version = number(f"{prefix}.sct.sct_version", "SCT Version", {0: "v1"})
        self.sct_log = octets(f"{prefix}.sct.sct_logid", "Log ID")
        self.sct_time = text(f"{prefix}.sct.sct_timestamp", "Timestamp")
        self.sct_extensions = number(f"{prefix}.sct.sct_extensions_length", "Extensions length")
        self.sct_signature_length = number(f"{prefix}.sct.sct_signature_length", "Signature Length")
        self.sct_signature = octets(f"{prefix}.sct.sct_signature", "Signature")
        self.srtp_length = number(f"{prefix}.use_srtp.protection_profiles_length", "SRTP Protection Profiles Length")
        self.srtp = number(
            f"{prefix}.use_srtp.protection_profile",
            "SRTP Protection Profile",
            {
                0x0001: "SRTP_AES128_CM_HMAC_SHA1_80",
                0x0002: "SRTP_AES128_CM_HMAC_SHA1_32",
                0x0005: "SRTP_NULL_HMAC_SHA1_80",
                0x0006: "SRTP_NULL_HMAC_SHA1_32",
                0x0007: "SRTP_AEAD_AES_128_GCM",
                0x0008: "SRTP_AEAD_AES_256_GCM",
            },
            digits=4,
        )
        self.srtp_mki_length = number(f"{prefix}.use_srtp.mki_length", "MKI Length")
        self.srtp_mki = octets(f"{prefix}.use_srtp.mki", "MKI")
        self.ech_type = number(
            f"{prefix}.ech.client_hello_type",
            "Client Hello type",
            {0: "Outer Client Hello", 1: "Inner Client Hello"},
        )
        self.ech_kdf = number(
            f"{prefix}.ech.hpke.suite.kdf_id",
            "KDF Id",
            {1: "HKDF-SHA256", 2: "HKDF-SHA384", 3: "HKDF-SHA512"},
        )
        self.ech_aead = number(
            f"{prefix}.ech.hpke.suite.aead_id",
            "AEAD Id",
            {1: "AES-128-GCM", 2: "AES-256-GCM", 3: "ChaCha20Poly1305"},
        )
        self.ech_config = number(f"{prefix}.ech.config_id", "Config Id")
        self.ech_key_length = number(f"{prefix}.ech.enc_length", "Enc length")
        self.ech_key = octets(f"{prefix}.ech.enc", "Enc")
        self.ech_payload_length = number(f"{prefix}.ech.payload_length", "Payload length")
        self.ech_payload = octets(f"{prefix}.ech.payload", "Payload")
        self.quic_type = number(f"{prefix}.quic.parameter.type", "Parameter", QUIC_PARAMETERS, digits=2)
        self.quic_length = number(f"{prefix}.quic.parameter.length", "Length")
        self.quic_value = octets(f"{prefix}.quic.parameter.value", "Value")
        self.quic_numbers = {
            kind: number(f"{prefix}.quic.parameter.{QUIC_PARAMETERS[kind]}", QUIC_PARAMETERS[kind])
            for kind in QUIC_NUMBERS
        }
        self.quic_bytes = {
            kind: octets(f"{prefix}.quic.parameter.{QUIC_PARAMETERS[kind]}", QUIC_PARAMETERS[kind])
            for kind in QUIC_BYTES
        }
        self.quic_chosen = number(f"{prefix}.quic.parameter.vi.chosen_version", "Chosen Version", digits=8)
        self.quic_other = number(f"{prefix}.quic.parameter.vi.other_version", "Other Version", digits=8)
        self.quic_agent = text(f"{prefix}.quic.parameter.google.user_agent", "Google UserAgent")
        self.quic_ipv4 = address(f"{prefix}.quic.parameter.preferred_address.ipv4address", "ipv4Address", 4)
        self.quic_ipv6 = address(f"{prefix}.quic.parameter.preferred_address.ipv6address", "ipv6Address", 16)

        # the other messages
        self.context_length = number(
            f"{name}.certificate_request_context_length", "Certificate Request Context Length"
        )
        self.context = octets(f"{name}.certificate_request_context", "Certificate Request Context")
        self.certificates_length = number(f"{name}.certificates_length", "Certificates Length")
        self.certificates = group(f"{name}.certificates", "Certificates")
        self.certificate_length = number(f"{name}.certificate_length", "Certificate Length")
        self.certificate = octets(f"{name}.certificate", "Certificate")
        self.signers_count = number(f"{name}.cert_types_count", "Certificate types count")
        self.signers = group(f"{name}.cert_types", "Certificate types")
        self.signer_type = number(f"{name}.cert_type", "Certificate type", CLIENT_CERTIFICATE_TYPES)
        self.names_length = number(f"{name}.dnames_len", "Distinguished Names Length")
        self.names = group(f"{name}.dnames", "Distinguished Names")
        self.name_length = number(f"{name}.dname_len", "Distinguished Name Length")
        self.name = group(f"{name}.dname", "Distinguished Name")
        self.ocsp_length = number(f"{name}.ocsp_response_len", "OCSP Response Length")
        self.curve_type = number(
            f"{name}.server_curve_type",
            "Curve Type",
            {1: "explicit_prime", 2: "explicit_char2", 3: "named_curve"},
            digits=2,
        )
        self.curve = number(f"{name}.server_named_curve", "Named Curve", GROUPS, digits=4)
        self.server_point_length = number(f"{name}.server_point_len", "Pubkey Length")
        self.server_point = octets(f"{name}.server_point", "Pubkey")
        self.client_point_length = number(f"{name}.client_point_len", "Pubkey Length")
        self.client_point = octets(f"{name}.client_point", "Pubkey")
        self.p_length = number(f"{name}.p_len", "p Length")
        self.p = octets(f"{name}.p", "p")
        self.g_length = number(f"{name}.g_len", "g Length")
        self.g = octets(f"{name}.g", "g")
        self.server_key_length = number(f"{name}.ys_len", "Pubkey Length")
        self.server_key = octets(f"{name}.ys", "Pubkey")
        self.client_key_length = number(f"{name}.yc_len", "Pubkey Length")
        self.client_key = octets(f"{name}.yc", "Pubkey")
        self.premaster_length = number(f"{name}.epms_len", "Encrypted PreMaster length")
        self.premaster = octets(f"{name}.epms", "Encrypted PreMaster")
        self.signature_length = number(f"{name}.sig_len", "Signature Length")
        self.signature = octets(f"{name}.sig", "Signature")
        self.verify_length = number(f"{name}.client_cert_vrfy.sig_len", "Signature length")
        self.verify = octets(f"{name}.client_cert_vrfy.sig", "Signature")
        self.hint_length = number(f"{name}.hint_len", "Hint Length")
        self.hint = octets(f"{name}.hint", "Hint")
        self.identity_length = number(f"{name}.identity_len", "Identity Length")
        self.identity = octets(f"{name}.identity", "Identity")
        self.ticket_lifetime = number(
            f"{name}.session_ticket_lifetime_hint", "Session Ticket Lifetime Hint", form=_seconds
        )
        self.ticket_age_add = number(f"{name}.session_ticket_age_add", "Session Ticket Age Add")
        self.ticket_nonce_length = number(f"{name}.session_ticket_nonce_length", "Session Ticket Nonce Length")
        self.ticket_nonce = octets(f"{name}.session_ticket_nonce", "Session Ticket Nonce")
        self.ticket_length = number(f"{name}.session_ticket_length", "Session Ticket Length")
        self.ticket = octets(f"{name}.session_ticket", "Session Ticket")
        self.verify_data = octets(f"{name}.verify_data", "Verify Data")
        self.update = number(
            f"{name}.key_update.request_update",
            "Key Update Request",
            {0: "update_not_requested", 1: "update_requested"},
        )

        # what other records hold
        self.application = octets(f"{prefix}.app_data", "Encrypted Application Data")
        self.change = group(f"{prefix}.change_cipher_spec", "Change Cipher Spec Message")
        self.alert = group(f"{prefix}.alert_message", "Alert Message")
        self.alert_level = number(f"{prefix}.alert_message.level", "Level", ALERT_LEVELS)
        self.alert_code = number(f"{prefix}.alert_message.desc", "Description", ALERTS)
        self.heartbeat = group(f"{prefix}.heartbeat_message", "Heartbeat Message")
        self.heartbeat_type = number(f"{prefix}.heartbeat_message.type", "Type", {1: "Request", 2: "Response"})
        self.heartbeat_length = number(f"{prefix}.heartbeat_message.payload_length", "Payload Length")
        self.heartbeat_payload = octets(f"{prefix}.heartbeat_message.payload", "Payload")
        self.heartbeat_padding = octets(f"{prefix}.heartbeat_message.padding", "Padding")


TLS: Final = Names("tls")
DTLS: Final = Names("dtls")
