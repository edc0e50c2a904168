"""What the computer's vitals mean: a finding for each, `unknown` where nothing measures it."""

from collections.abc import Iterator

from agent.core.records.findings import Finding, found, healthy, unknown
from agent.ports import Vitals

HOT_C, TOO_HOT_C = 75.0, 82.0  # a Raspberry Pi slows down from 80 to 85 on
LOW_SHARE, FULL_MB = 0.05, 16
MEMORY_LOW_SHARE = 0.06
WORN_PCT = 80
_UNDER_VOLTAGE, _SLOWED, _BEFORE = 0b0001, 0b1110, 16


def about_host(vitals: Vitals) -> Iterator[Finding]:
    """Temperature, power, disk, card, memory and outside air, in that order."""
    yield _temperature(vitals.soc_temperature_c)
    yield _power(vitals.throttled)
    yield _disk(vitals)
    yield _card(vitals.card_used_pct)
    yield _memory(vitals.memory_free_mb, vitals.memory_total_mb)
    if vitals.air_temperature_c is None:
        yield unknown("air", "no sensor of the outside air")
    else:
        yield healthy("air", f"{vitals.air_temperature_c:.1f} C")


def _temperature(celsius: float | None) -> Finding:
    if celsius is None:
        return unknown("temperature", "the kernel shows no sensor")
    if celsius < HOT_C:
        return healthy("temperature", f"{celsius:.0f} C")
    return found("hot" if celsius < TOO_HOT_C else "too-hot", f"{celsius:.0f} C")


def _power(bits: int | None) -> Finding:
    if bits is None:
        return unknown("power", "this computer does not watch its supply")
    if bits & _UNDER_VOLTAGE:
        return found("under-voltage", f"bits {bits:#x}")
    if bits & _SLOWED:
        return found("throttled", f"bits {bits:#x}")
    if bits >> _BEFORE & _UNDER_VOLTAGE:
        return found("was-under-voltage", f"bits {bits:#x}")
    return healthy("power", "no fault since the start")


def _disk(vitals: Vitals) -> Finding:
    free_mb, total_mb = vitals.disk_free_mb, vitals.disk_total_mb
    if free_mb is None or not total_mb:
        return unknown("disk", "the disk of the store cannot be looked at")
    told = f"{free_mb} MB of {total_mb} free"
    if vitals.disk_is_read_only:
        return found("disk-read-only", told)
    if free_mb < FULL_MB:
        return found("disk-full", told)
    return found("disk-low", told) if free_mb < LOW_SHARE * total_mb else healthy("disk", told)


def _card(used_pct: int | None) -> Finding:
    if used_pct is None:
        return unknown("card", "the card does not tell its wear")
    told = f"{used_pct} % of its life used"
    return found("card-worn", told) if used_pct >= WORN_PCT else healthy("card", told)


def _memory(free_mb: int | None, total_mb: int | None) -> Finding:
    if free_mb is None or not total_mb:
        return unknown("memory", "the kernel does not tell")
    told = f"{free_mb} MB of {total_mb} free"
    is_low = free_mb < MEMORY_LOW_SHARE * total_mb
    return found("memory-low", told) if is_low else healthy("memory", told)
