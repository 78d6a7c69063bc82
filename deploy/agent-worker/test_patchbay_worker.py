"""Tests of the worker's pure parts: `python -m unittest` in this folder."""

import json
import math
import struct
import unittest
from types import SimpleNamespace

from patchbay_worker import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    ConfigError,
    Dispatch,
    Inbound,
    UsageMeter,
    attributes,
    keys,
    passages,
    read_config,
    tone_frames,
    turn,
)

METADATA = json.dumps({"tenant_id": "t", "session_id": "s", "agent_run_id": "r"})


def answer(**changes):
    runtime = {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 40}}
    configuration = {"schema": 1, "runtime": runtime | changes.pop("runtime", {})}
    whole = {"digest": "d", "state": "starting", "configuration": configuration, "prompt": "p", "greeting": None}
    return whole | changes


class DispatchTest(unittest.TestCase):
    def test_reads_ids_and_makes_paths(self):
        dispatch = Dispatch.parse(METADATA)
        self.assertEqual(dispatch.identity, "agent-r")
        self.assertEqual(dispatch.run_path, "/api/tenants/t/sessions/s/agent-runs/r")
        self.assertEqual(dispatch.session_path, "/api/tenants/t/sessions/s")

    def test_leaves_other_jobs_alone(self):
        for other in ("", "{}", "[]", "null", "not json", '{"tenant_id": "t"}'):
            self.assertIsNone(Dispatch.parse(other), other)


class InboundTest(unittest.TestCase):
    def test_a_call_in_becomes_a_run(self):
        call = Inbound.parse('{"tenant_id": "t", "mapping_id": "m"}', "room")
        self.assertEqual(call.claim_path, "/api/tenants/t/inbound-mappings/m/claim")
        dispatch = call.claimed({"session_id": "s", "agent_run_id": "r"})
        self.assertEqual(dispatch, Dispatch.parse(METADATA))
        self.assertIsNone(Inbound.parse(METADATA, "room"))
        self.assertIsNone(Dispatch.parse('{"tenant_id": "t", "mapping_id": "m"}'))

    def test_keys_are_keys(self):
        self.assertEqual(keys('{"digits": "1w#A"}'), "1w#A")
        for wrong in ('{"digits": ""}', '{"digits": "x"}', "{}", "not json"):
            with self.assertRaises((ValueError, KeyError)):
                keys(wrong)


class ConfigTest(unittest.TestCase):
    def test_reads_an_echo_run(self):
        config = read_config(answer())
        self.assertEqual((config.kind, config.over, config.tools), ("echo", False, []))
        self.assertEqual(config.runtime["greeting_tone"]["frequency_hz"], 880)
        said = attributes(Dispatch.parse(METADATA), config)
        self.assertEqual(said["patchbay.configuration_digest"], "d")

    def test_sees_that_a_session_is_over(self):
        self.assertTrue(read_config(answer(state="ended")).over)

    def test_refuses_what_it_does_not_know(self):
        with self.assertRaises(ConfigError):
            read_config(answer(runtime={"kind": "realtime"}))
        newer = answer()
        newer["configuration"]["schema"] = 4
        with self.assertRaises(ConfigError):
            read_config(newer)


class TurnTest(unittest.TestCase):
    def item(self, **changes):
        spoken = {"started_speaking_at": 1_800_000_000.0, "stopped_speaking_at": 1_800_000_002.5}
        item = {"id": "item_1", "role": "assistant", "text_content": " Hello. ", "interrupted": False}
        return SimpleNamespace(**item | {"created_at": 1_800_000_003.0, "metrics": spoken} | changes)

    def test_a_turn_has_its_times(self):
        self.assertEqual(
            turn(self.item()),
            {
                "id": "item_1",
                "role": "agent",
                "text": "Hello.",
                "started_at": "2027-01-15T08:00:00+00:00",
                "ended_at": "2027-01-15T08:00:02.500000+00:00",
                "interrupted": False,
            },
        )
        self.assertEqual(turn(self.item(metrics={}))["started_at"], "2027-01-15T08:00:03+00:00")

    def test_what_nobody_said_is_no_turn(self):
        for nothing in ({"role": "system"}, {"text_content": "  "}, {"text_content": None}):
            self.assertIsNone(turn(self.item(**nothing)), nothing)


class UsageTest(unittest.TestCase):
    def test_reports_what_is_new(self):
        meter = UsageMeter({"gpt": "openai"})
        llm = {"type": "llm_usage", "provider": "127.0.0.1:1", "model": "gpt", "input_tokens": 40, "output_tokens": 9}
        stt = {"type": "stt_usage", "provider": "x", "model": "ear", "audio_duration": 1.23456}
        first = meter.news([llm, stt, {"type": "eot_usage", "model": "m"}])
        self.assertEqual(
            first,
            [
                {"kind": "llm", "provider": "openai", "model": "gpt", "input_tokens": 40, "output_tokens": 9},
                {"kind": "stt", "provider": "x", "model": "ear", "audio_seconds": 1.235},
            ],
        )
        self.assertEqual(meter.news([llm, stt]), [])
        self.assertEqual(
            meter.news([llm | {"input_tokens": 100}, stt]),
            [{"kind": "llm", "provider": "openai", "model": "gpt", "input_tokens": 60}],
        )


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


class KnowledgeTest(unittest.TestCase):
    def test_the_model_is_told_what_was_found_and_where(self):
        hit = {"text": "Nine to six.", "file_name": "a.pdf", "page": 2, "headings": ["Hours"], "score": 1.0}
        told = json.loads(passages({"data": [hit]}))
        self.assertEqual(told, [{"text": "Nine to six.", "file": "a.pdf", "page": 2, "under": ["Hours"]}])
        self.assertIn("Nothing", passages({"data": []}))

    def test_knowledge_is_read_where_there_is_some(self):
        known = answer()
        self.assertIsNone(read_config(known).knowledge)
        known["configuration"] |= {"schema": 3, "knowledge": {"top_k": 5}}
        self.assertEqual(read_config(known).knowledge, {"top_k": 5})

if __name__ == "__main__":
    unittest.main()
