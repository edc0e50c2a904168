"""Scenario files: what the packaged ones promise, and one clear line for a broken one."""

import numpy as np
import pytest

from agent.core.audio import AudioBlock, AudioGap
from agent.core.clock.time_signs import TimeMark
from agent.core.units import NS_PER_S, parse_rfc3339_ns
from simulator.grid.hardware import items
from simulator.grid.scenario import ScenarioError, load, names, parse
from simulator.grid.truth import rounds

SMALL = """
name = "small"
seed = 3
start_utc = 2026-03-14T21:00:00Z
duration_s = 6
rate_hz = 12000
site = "lab"
cell = "a"
[limits]
max_error_m = 2.0
min_located = 1
max_false = 0
[[nodes]]
name = "n1"
enu_m = [0.0, 0, 5]
audio_losses = [{at_s = 3.0, for_s = 0.5}]
pps_outages = [{at_s = 2, for_s = 2}]
[[shots]]
at_s = 1.25
enu_m = [60.0, 0.0, 1.5]
rounds = 3
interval_ms = 80
[[shots]]
at_s = 0.5
enu_m = [60.0, 0.0, 1.5]
kind = "door_slam"
level_db_spl = 110
"""


def refusal(text):
    with pytest.raises(ScenarioError) as caught:
        parse(text, "street.toml")
    message = str(caught.value)
    assert message.startswith("street.toml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", names())
def test_packaged_scenarios_can_be_met(name):
    """Each loads by name, asks for no more than is fired, and fires once clocks have locked."""
    scenario = load(name)
    fired = rounds(scenario)
    assert scenario.limits.min_located <= len(fired)
    assert fired[0].utc_ns >= scenario.utc_ns(15)
    assert scenario.utc_ns(scenario.duration_s) - fired[-1].utc_ns > 4 * NS_PER_S
    assert len(scenario.nodes) >= 4


def test_quickstart_is_a_street_with_difficulties():
    """Seven nodes or more, singles and a burst, echoes, wind, and oscillators that disagree."""
    scenario = load("quickstart")
    assert len(scenario.nodes) >= 7
    assert sorted({shot.rounds for shot in scenario.shots}) == [1, 5]
    assert scenario.walls
    assert scenario.air.wind_mps > 0
    assert max(node.adc_ppm for node in scenario.nodes) > 15
    assert min(node.adc_ppm for node in scenario.nodes) < -15
    assert len({node.delay_mean_us for node in scenario.nodes}) == len(scenario.nodes)


def test_truth_lists_every_round_and_no_confuser():
    """Rounds come in order of time, with place and number; a slammed door is not one."""
    fired = rounds(parse(SMALL, "small.toml"))
    start = parse_rfc3339_ns("2026-03-14T21:00:01.25Z")
    assert [r.utc_ns for r in fired] == [start, start + 80_000_000, start + 160_000_000]
    assert {(r.enu_m, r.shot) for r in fired} == {((60.0, 0.0, 1.5), 0)}
    assert [r.number for r in fired] == [0, 1, 2]


def test_a_node_hears_its_scenario():
    """The ports of a node deliver the shots, the losses and the pulses that the file states."""
    scenario = parse(SMALL, "small.toml")
    ports = scenario.hardware(scenario.nodes[0])
    happened = list(items(ports.microphone, ports.reference))
    (gap,) = [item for item in happened if isinstance(item, AudioGap)]
    assert (gap.first_sample, gap.lost) == (36_000, 6_000)
    seconds = [
        (item.utc_ns - scenario.utc_ns(0)) // NS_PER_S
        for item in happened
        if isinstance(item, TimeMark)
    ]
    assert seconds == [1, 4, 5, 6]
    blocks = [item for item in happened if isinstance(item, AudioBlock)]
    loudest = max(blocks, key=lambda block: np.abs(block.samples.astype(int)).max())
    assert 1.25 * 12_000 < loudest.end_sample < 1.8 * 12_000


def test_same_file_same_bytes():
    """Everything that a node is given follows from the file."""

    def given():
        scenario = parse(SMALL, "small.toml")
        ports = scenario.hardware(scenario.nodes[0])
        return [
            (item.host_ns, item.samples.tobytes() if isinstance(item, AudioBlock) else item)
            for item in items(ports.microphone, ports.reference)
        ]

    assert given() == given()


def test_a_scenario_can_be_a_file_of_ones_own(tmp_path):
    """A path works as well as a name."""
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    assert load(path) == load(str(path)) == parse(SMALL, "x")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 3", "sead = 3", "'sead' is unknown, did you mean 'seed'?"),
        ("seed = 3", "", "seed is missing"),
        ("seed = 3", "seed = -3", "seed: Expected `int` >= 0"),
        ("at_s = 1.25", 'at_s = "soon"', "shots[0].at_s: Expected `float`, got `str`"),
        ("at_s = 1.25", "at_s = nan", "shots[0].at_s is not a finite number"),
        ("at_s = 1.25", "at_s = 5.9", "shots[0] sounds after the end, duration_s = 6"),
        ("[60.0, 0.0, 1.5]", "[60.0, 0.0]", "shots[0].enu_m: "),
        ("[60.0, 0.0, 1.5]", "[60.0, inf, 1.5]", "shots[0].enu_m is not a finite number"),
        ("[60.0, 0.0, 1.5]", "[60.0, 0.0, -1]", "shots[0].enu_m: "),
        ('"door_slam"', '"dor_slam"', "'dor_slam' is unknown, did you mean 'door_slam'?"),
        ("max_false = 0", "", "limits.max_false is missing"),
        ("21:00:00Z", "21:00:00+01:00", "start_utc must be a whole second of UTC"),
        ("21:00:00Z", "21:00:00", "start_utc: "),
        ("21:00:00Z", "21:00:0", "is not TOML"),
        ("[[nodes]]", "[nodes]", "nodes: Expected `array`, got `object`"),
        ('name = "n1"', 'name = "n 1"', "nodes[0].name: "),
        ("for_s = 0.5}]", "for_s = 0.5}, {at_s = 3.4, for_s = 1}]", "'n1' overlap"),
    ],
)
def test_each_fault_is_named_with_its_place(old, new, told):
    """Unknown keys, missing ones, wrong types, ranges and contradictions: one line each."""
    assert old in SMALL
    assert told in refusal(SMALL.replace(old, new, 1))


def test_all_faults_are_told_at_once():
    """One look at the message is enough to mend the whole file."""
    broken = SMALL.replace("seed = 3", "seed = 0.5").replace("rounds = 3", "round = 3")
    broken = broken.replace("max_error_m = 2.0", "max_error_m = 0")
    message = refusal(broken)
    for place in ("seed: ", "shots[0] 'round'", "limits.max_error_m: "):
        assert place in message


def test_contradictions_are_told_together():
    """Two nodes of one name and a wall without length."""
    twice = SMALL + '[[nodes]]\nname = "n1"\nenu_m = [9.0, 9, 5]\n'
    message = refusal(twice + "[[walls]]\nstart_m = [1.0, 2]\nend_m = [1.0, 2]\n")
    assert "nodes: 2 are named 'n1'" in message
    assert "walls[0] has no length" in message


def test_nodes_may_not_be_an_empty_list():
    """A scenario nobody listens to is refused."""
    start, nodes_and_rest = SMALL.split("[[nodes]]")
    shots = nodes_and_rest[nodes_and_rest.index("[[shots]]") :]
    assert "nodes is empty" in refusal("nodes = []\n" + start + shots)


def test_a_missing_scenario_names_the_ones_there_are(tmp_path):
    """Neither file nor packaged name: the message lists what could have been meant."""
    with pytest.raises(ScenarioError, match=r"nowhere: no such scenario.*quickstart"):
        load("nowhere")
    with pytest.raises(ScenarioError, match=r"cannot be read"):
        load(tmp_path)
