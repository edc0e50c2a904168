"""What a node lacks before its first start, and what a visit to the pole may leave behind."""

from agent.core.records.faults import Fault

SETUP_FAULTS: dict[str, Fault] = {
    "agent-stopped": Fault(
        "agent",
        "critical",
        "The agent does not run: nobody listens.",
        "software",
        "Mend all else that is named, then start it; `journalctl -u earshot -n 20` tells why it "
        "stopped.",
    ),
    "agent-hangs": Fault(
        "agent",
        "critical",
        "The agent has shown nothing for a while: it hangs.",
        "software",
        "Start it again; `journalctl -u earshot -n 20` tells what came before.",
    ),
    "user-missing": Fault(
        "user",
        "critical",
        "The user that the agent runs as does not exist.",
        "software",
        "Make the user.",
    ),
    "store-missing": Fault(
        "outbox",
        "critical",
        "The directory of the store is not there.",
        "memory card",
        "Make it, for the agent's user alone.",
    ),
    "store-foreign": Fault(
        "outbox",
        "critical",
        "The agent's user may not write to the store.",
        "memory card",
        "Give it the directory and what is in it.",
    ),
    "settings-missing": Fault(
        "settings",
        "critical",
        "There is no settings file.",
        "settings file",
        "Put one there (config/earshot.toml is a sample), and write site, cell and id of this node "
        "into it.",
    ),
    "settings-faulty": Fault(
        "settings",
        "critical",
        "The settings file has a fault.",
        "settings file",
        "Mend what is named.",
    ),
    "settings-not-read": Fault(
        "settings",
        "warning",
        "The settings file was changed after the agent had read it.",
        "settings file",
        "Start the agent again.",
    ),
    "host-time": Fault(
        "clock",
        "critical",
        "The host's clock is not synchronised.",
        "network",
        "Check chrony with `chronyc tracking`, and the network.",
    ),
    "time-simulated": Fault(
        "clock",
        "warning",
        "The host's clock is taken for the truth: that is for simulations.",
        "settings file",
        "Set time.source to what this node has.",
    ),
    "key-missing": Fault(
        "keys",
        "critical",
        "The node has no key to sign with.",
        "keys",
        "Make its keys and a request, and take that to the registrar.",
    ),
    "key-unusable": Fault(
        "keys",
        "critical",
        "A key cannot be used.",
        "keys",
        "Mend what is named; a node whose key is lost is enrolled again.",
    ),
    "locator-key-missing": Fault(
        "keys",
        "critical",
        "The locator's public key is not there: no receipt could be believed.",
        "keys",
        "Install the registrar's answer, which brings it.",
    ),
    "operator-key-missing": Fault(
        "keys",
        "critical",
        "An operator's public key is not there.",
        "keys",
        "Copy it there, or take its name out of keys.operator_public.",
    ),
    "certificate-missing": Fault(
        "certificate",
        "critical",
        "The node's certificate, its key or its authority is not there.",
        "certificate",
        "Install the registrar's answer, which brings all three.",
    ),
    "receiver-absent": Fault(
        "receiver",
        "critical",
        "The receiver's serial device is not there.",
        "receiver plug",
        "Plug the receiver in; `earshot devices` lists what is there. If it is, check "
        "time.receiver.",
    ),
    "pulse-absent": Fault(
        "receiver",
        "critical",
        "The pulse's device is not there.",
        "PPS wire",
        "Add the line dtoverlay=pps-gpio to config.txt, and start the computer again.",
    ),
    "panel-failed": Fault(
        "panel",
        "warning",
        "Lights and button cannot be used.",
        "panel",
        "Check the numbers under [panel], and that no overlay or program holds a pin.",
    ),
    "version-differs": Fault(
        "version",
        "warning",
        "The agent that runs is of another version than this command.",
        "software",
        "Start the agent again.",
    ),
    "older-locator": Fault(
        "version",
        "warning",
        "The locator is older than this node: what it does not know waits here.",
        "locator",
        "Update the locator.",
    ),
}
