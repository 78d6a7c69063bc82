"""Tests of the worker's pure parts: `python -m unittest` in this folder."""

import json
import math
import struct
import unittest

from patchbay_worker import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    ConfigError,
    Dispatch,
    attributes,
    read_config,
    tone_frames,
)

METADATA = json.dumps({"tenant_id": "t", "session_id": "s", "agent_run_id": "r"})


def answer(**changes):
    runtime = {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 40}}
    configuration = {"schema": 1, "runtime": runtime | changes.pop("runtime", {})}
    return {"digest": "d", "state": "starting", "configuration": configuration} | changes


class DispatchTest(unittest.TestCase):
    def test_reads_ids_and_makes_paths(self):
        dispatch = Dispatch.parse(METADATA)
        self.assertEqual(dispatch.identity, "agent-r")
        self.assertEqual(dispatch.config_path, "/api/tenants/t/sessions/s/agent-runs/r/config")
        self.assertEqual(dispatch.stop_path, "/api/tenants/t/sessions/s/stop")

    def test_leaves_other_jobs_alone(self):
        for other in ("", "{}", "[]", "null", "not json", '{"tenant_id": "t"}'):
            self.assertIsNone(Dispatch.parse(other), other)


class ConfigTest(unittest.TestCase):
    def test_reads_an_echo_run(self):
        config = read_config(answer())
        self.assertEqual((config.tone_hz, config.tone_ms, config.over), (880, 40, False))
        said = attributes(Dispatch.parse(METADATA), config)
        self.assertEqual(said["patchbay.configuration_digest"], "d")

    def test_sees_that_a_session_is_over(self):
        self.assertTrue(read_config(answer(state="ended")).over)

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaises(ConfigError):
            read_config(answer(runtime={"kind": "pipeline"}))
        newer = answer()
        newer["configuration"]["schema"] = 2
        with self.assertRaises(ConfigError):
            read_config(newer)


class ToneTest(unittest.TestCase):
    def test_a_tone_has_its_length_and_its_pitch(self):
        frames = list(tone_frames(1000, 100))
        self.assertEqual(len(frames), 10)
        samples = [s for frame in frames for s in struct.unpack(f"<{FRAME_SAMPLES}h", frame)]
        rises = sum(1 for a, b in zip(samples, samples[1:]) if a < 0 <= b)
        self.assertAlmostEqual(rises / (len(samples) / SAMPLE_RATE), 1000, delta=15)
        self.assertLessEqual(max(map(abs, samples)), 8000)
        self.assertGreater(math.hypot(*samples), 0)

    def test_no_length_is_silence(self):
        self.assertEqual(list(tone_frames(880, 0)), [])


if __name__ == "__main__":
    unittest.main()
