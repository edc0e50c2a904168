"""The tables of the settings file: every key with its type, range, default and description.

Plain declarations; reading a file, and telling what is wrong with it, is `settings`' matter.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,32}\Z")]
Text = Annotated[str, Meta(min_length=1)]
MIN_RATE_HZ = 12_000
MAX_RATE_HZ = 96_000
# No capture is later by a constant: a converter's filter takes 1 ms, a bus 4, a mixing server 10.
MAX_LATENCY_US = 20_000

Pin = Annotated[int, Meta(ge=2, le=27)]

_HOST = r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the file. Each description says what a correct value is, with its unit."""


class NodeSection(Section, frozen=True, kw_only=True):
    """Who this node is."""

    site: Annotated[Name, Meta(description="the deployment; 1 to 32 letters, digits or dashes")]
    cell: Annotated[Name, Meta(description="part of the site; 1 to 32 letters, digits or dashes")]
    id: Annotated[Name, Meta(description="this node; 1 to 32 letters, digits or dashes")]


class AudioSection(Section, frozen=True, kw_only=True):
    """The microphone."""

    source: Annotated[
        str,
        Meta(
            pattern=r"^(file|portaudio):[^\n]+\Z",
            description='"portaudio:NAME" for a device, or "file:PATH" for a WAV or FLAC file',
        ),
    ] = "portaudio:default"
    rate_hz: Annotated[
        int,
        Meta(ge=MIN_RATE_HZ, le=MAX_RATE_HZ, description="a device's rate in Hz, 12000 to 96000"),
    ] = 48_000
    block_samples: Annotated[
        int, Meta(ge=64, le=16_384, description="samples taken at a time, 64 to 16384")
    ] = 1024
    buffer_ms: Annotated[
        int,
        Meta(
            ge=20,
            le=5000,
            description="how long a device shall keep samples for a late reader, 20 to 5000 ms",
        ),
    ] = 250
    full_scale_db_spl: (
        Annotated[
            float,
            Meta(ge=80, le=194, description="dB SPL that reaches full scale, 80 to 194, if known"),
        ]
        | None
    ) = None
    pps_channel: (
        Annotated[
            Literal[1, 2],
            Meta(description="channel of the device that carries the pulse, 1 or 2, if one does"),
        ]
        | None
    ) = None
    latency_us: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=MAX_LATENCY_US,
                description="constant capture latency in us, 0 to 20000 and not over its bound, "
                "if `earshot time calibrate` found it",
            ),
        ]
        | None
    ) = None
    latency_bound_us: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_LATENCY_US,
            description="bound in us on that latency while it is not calibrated, to 20000; "
            "50 to 3000 are usual",
        ),
    ] = 3000


class HearingSection(Section, frozen=True, kw_only=True):
    """What of the heard is told."""

    least_score: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="least score that is published, 0 to 1; 0 leaves it to the model",
        ),
    ] = 0.0


class TimeSection(Section, frozen=True, kw_only=True):
    """Where UTC comes from."""

    source: Annotated[
        Literal["system", "nmea", "pps", "pps-adc", "sim"],
        Meta(
            description='"system" for the host\'s clock, "nmea" for a receiver\'s sentences, "pps" '
            'for its pulse, "pps-adc" for its pulse on audio.pps_channel, "sim" where the host\'s '
            "clock is the truth"
        ),
    ] = "system"
    system_sigma_ms: Annotated[
        int,
        Meta(ge=1, le=10_000, description="least 1-sigma error of the host's clock, 1 to 10000 ms"),
    ] = 50
    require_sync: Annotated[
        bool,
        Meta(description="believe the host's clock only while the kernel calls it synchronised"),
    ] = True
    pps_device: Annotated[
        Text, Meta(description="the pulse: /dev/ppsN, or a directory such as /sys/class/pps/pps0")
    ] = "/dev/pps0"
    pps_sigma_ns: Annotated[
        int,
        Meta(
            ge=20,
            le=1_000_000,
            description="1-sigma of what all pulses share, interrupts included, in ns, to 1 ms",
        ),
    ] = 9000
    receiver: (
        Annotated[Text, Meta(description="serial device of a satellite receiver, if there is one")]
        | None
    ) = None
    baud: Annotated[
        Literal[4800, 9600, 19_200, 38_400, 57_600, 115_200],
        Meta(description="speed of that line in bits per second"),
    ] = 9600
    ublox: Annotated[
        bool, Meta(description="ask the receiver for its UBX warnings of spoofing and jamming")
    ] = False
    nmea_lag_ms: Annotated[
        int,
        Meta(ge=0, le=990, description="sentences follow their second by so many ms, 0 to 990"),
    ] = 475
    nmea_sigma_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=500,
            description="1-sigma error of that lag in ms, 1 to 500; 50 to 900 ms are usual",
        ),
    ] = 250
    chrony_socket: (
        Annotated[Text, Meta(description="SOCK refclock to offer pulses to chrony at, if wanted")]
        | None
    ) = None


class BrokerSection(Section, frozen=True, kw_only=True):
    """The way out."""

    url: Annotated[
        str,
        Meta(
            pattern=rf"^mqtts?://{_HOST}(:[0-9]{{1,5}})?/?\Z",
            description="mqtt://HOST[:PORT], or mqtts://HOST[:PORT] for TLS",
        ),
    ]
    unencrypted: Annotated[
        bool, Meta(description="allow mqtt:// beyond this host, where all on the way can read it")
    ] = False
    protocol: Annotated[
        Literal["auto", "3.1.1", "5"],
        Meta(description='MQTT version: "3.1.1", "5", or "auto" for the newest the broker takes'),
    ] = "auto"
    ca: (
        Annotated[Text, Meta(description="certificates of the authority that the broker must have")]
        | None
    ) = None
    certificate: (
        Annotated[Text, Meta(description="this node's certificate, whose CN is SITE/CELL/NODE")]
        | None
    ) = None
    certificate_key: (
        Annotated[Text, Meta(description="private key of that certificate, readable by us alone")]
        | None
    ) = None


class LinkSection(Section, frozen=True, kw_only=True):
    """How much of the line is ours."""

    max_kbit_s: Annotated[
        float,
        Meta(
            ge=0,
            description="what all but young alerts may take of the line in kbit/s; 0 for all of it",
        ),
    ] = 0


class StoreSection(Section, frozen=True, kw_only=True):
    """What survives a power cut."""

    directory: Annotated[Text, Meta(description="directory for the outbox; the node's alone")] = (
        "/var/lib/earshot"
    )
    max_mb: Annotated[
        int, Meta(ge=4, le=65_536, description="disk space the outbox may take in MiB, 4 to 65536")
    ] = 64


class KeysSection(Section, frozen=True, kw_only=True):
    """Whose word counts."""

    evidence: Annotated[
        Text,
        Meta(
            description="file of the key that signs, made by `earshot enrol request` or "
            "`earshot key new`; or the pkcs11: URI of one in a security token"
        ),
    ] = "/var/lib/earshot/evidence.pem"
    locator_public: Annotated[
        tuple[Text, ...],
        Meta(min_length=1, description="files of the locator's public keys; receipts need one"),
    ]
    operator_public: Annotated[
        tuple[Text, ...],
        Meta(description="files of operators' public keys; without any no command is obeyed"),
    ] = ()


class PanelSection(Section, frozen=True, kw_only=True):
    """Lights, the button and the contact of the box, by the numbers that the chip gives its pins.

    Pins 0 and 1 are kept for the identity of add-on boards. Nothing is touched that is not named.
    """

    power_led: Annotated[Pin, Meta(description="GPIO of the power LED, 2 to 27, if any")] | None = (
        None
    )
    clock_led: Annotated[Pin, Meta(description="GPIO of the clock LED, 2 to 27, if any")] | None = (
        None
    )
    link_led: Annotated[Pin, Meta(description="GPIO of the link LED, 2 to 27, if any")] | None = (
        None
    )
    hearing_led: (
        Annotated[Pin, Meta(description="GPIO of the hearing LED, 2 to 27, if any")] | None
    ) = None
    button: (
        Annotated[Pin, Meta(description="GPIO of a button to ground, 2 to 27, if any")] | None
    ) = None
    tamper: (
        Annotated[
            Pin,
            Meta(description="GPIO of a contact to ground that opens with the box, if any"),
        ]
        | None
    ) = None

    @property
    def pins(self) -> dict[str, int]:
        """The pins that are set, by what is at them."""
        pins = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: pin for name, pin in pins.items() if pin is not None}


class RuntimeSection(Section, frozen=True, kw_only=True):
    """What the agent shows to commands beside it."""

    directory: Annotated[
        Text, Meta(description="directory for the state file that `earshot time` reads")
    ] = "/run/earshot"


class LogSection(Section, frozen=True, kw_only=True):
    """What the agent tells the journal."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description='least level to tell: "debug", "info", "warning" or "error"'),
    ] = "info"
