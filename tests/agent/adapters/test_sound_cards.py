"""Sound cards by stable names, on a kernel's files made by hand: no card is needed for it."""

from pathlib import Path

from agent.adapters.microphone.cards import Card, card_in, card_of, cards, holder

TREE = "devices/pci0000:00/usb1"


def sysfs(directory: Path, plugged: list[tuple[str, str]]) -> Path:
    """/sys/class/sound of a host with cards, each (id, its device below /sys)."""
    classes = directory / "class/sound"
    for number, (name, device) in enumerate(plugged):
        (directory / device).mkdir(parents=True)
        card = classes / f"card{number}"
        card.mkdir(parents=True)
        (card / "id").write_text(f"{name}\n")
        (card / "device").symlink_to(directory / device)
        (classes / f"controlC{number}").mkdir()
    return classes


def test_two_equal_sticks_are_told_apart_by_their_ports(tmp_path: Path) -> None:
    """Whichever is found first: the one in port 1-1.2 is that one, whatever its number or id."""
    two, three = f"{TREE}/1-1/1-1.2/1-1.2:1.0", f"{TREE}/1-1/1-1.3/1-1.3:1.0"
    for number, (first, second) in enumerate([(two, three), (three, two)]):
        plugged = [("Device", first), ("Device_1", second)]
        known = cards(sysfs(tmp_path / str(number), plugged))
        assert [card.id for card in known] == ["Device", "Device_1"]
        chosen = card_of("usb:1-1.2", known)
        assert chosen is not None
        assert (chosen.number, chosen.usb_port) == (number, "1-1.2")
        assert card_in(f"USB PnP Sound Device: Audio (hw:{number},0)", known) == chosen


def test_a_card_that_cannot_be_unplugged_is_named_by_its_id(tmp_path: Path) -> None:
    """A hat on the pins has no port; its id comes from its driver."""
    known = cards(
        sysfs(tmp_path, [("vc4hdmi", "devices/hdmi"), ("sndrpigooglevoi", "devices/i2s")])
    )
    assert [card.stable_name for card in known] == ["vc4hdmi", "sndrpigooglevoi"]
    assert card_of("sndrpigooglevoi", known) == Card(1, "sndrpigooglevoi")
    assert card_of("usb:1-1", known) is None
    assert card_in("default", known) is None


def test_a_host_without_sound_has_no_cards(tmp_path: Path) -> None:
    """As in a container."""
    assert cards(tmp_path / "none") == []


def test_who_holds_a_card_is_named(tmp_path: Path) -> None:
    """The program and its pid, as the kernel tells them; nobody where it does not."""
    status = tmp_path / "asound/card1/pcm0c/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("state: RUNNING\nowner_pid   : 4711\n")
    (tmp_path / "4711").mkdir()
    (tmp_path / "4711/comm").write_text("arecord\n")
    assert holder(Card(1, "Device"), tmp_path) == "arecord (pid 4711)"
    status.write_text("closed\n")
    assert holder(Card(1, "Device"), tmp_path) == ""
