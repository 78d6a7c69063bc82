"""Tests of the worker's pure parts: `python -m unittest` in this folder."""

import json
import logging
import math
import struct
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from patchbay_worker import (
    FRAME_SAMPLES,
    SAMPLE_RATE,
    ConfigError,
    Dispatch,
    Inbound,
    UsageMeter,
    WithoutCaller,
    attributes,
    keys,
    load,
    passages,
    read_config,
    read_number,
    read_secret_files,
    same_run,
    tone_frames,
    turn,
    worker_id,
)

METADATA = json.dumps({"tenant_id": "t", "session_id": "s", "agent_run_id": "r"})


def answer(**changes):
    runtime = {"kind": "echo", "greeting_tone": {"frequency_hz": 880, "duration_ms": 40}}
    configuration = {"schema": 1, "runtime": runtime | changes.pop("runtime", {})}
    whole = {"digest": "d", "state": "starting", "configuration": configuration, "prompt": "p", "greeting": None}
    return whole | changes


class LoadTest(unittest.TestCase):
    def test_the_load_is_the_share_of_the_capacity(self):
        self.assertEqual(load(0, 50), 0)
        self.assertAlmostEqual(load(25, 50), 0.345)
        self.assertEqual(load(50, 50), 1)
        self.assertEqual(load(51, 50), 1)
        self.assertEqual((load(0, 1), load(1, 1)), (0, 1))

    def test_a_worker_that_would_take_another_is_offered_it(self):
        for capacity in (1, 2, 3, 50, 10_000):
            loads = [load(running, capacity) for running in range(capacity + 1)]
            self.assertEqual(loads, sorted(loads))
            self.assertTrue(all(one < 0.7 for one in loads[:-1]), capacity)
            self.assertEqual(loads[-1], 1)

    def test_a_capacity_is_a_number(self):
        self.assertEqual(read_number("50", 1), 50)
        self.assertEqual(read_number("0", 0), 0)
        for wrong in ("", "0", "-1", "1.5", "many", "10001", "٥"):
            with self.assertRaises(ValueError, msg=wrong):
                read_number(wrong, 1)

    def test_a_worker_has_an_id_that_patchbay_accepts(self):
        self.assertRegex(worker_id(), r"\A[A-Za-z0-9._:-]{1,100}\Z")


class SecretFilesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(Path(folder.name) / "key")
        Path(self.path).write_text("s3cret\n", encoding="utf-8")

    def test_a_secret_comes_from_its_file(self):
        environment = {"OPENAI_API_KEY_FILE": self.path, "AWS_WEB_IDENTITY_TOKEN_FILE": self.path}
        read_secret_files(environment)
        self.assertEqual(environment, {"OPENAI_API_KEY": "s3cret", "AWS_WEB_IDENTITY_TOKEN_FILE": self.path})

    def test_what_is_wrong_is_named(self):
        for environment in (
            {"LIVEKIT_API_SECRET_FILE": self.path + "-is-not-there"},
            {"LIVEKIT_API_SECRET_FILE": self.path, "LIVEKIT_API_SECRET": "other"},
        ):
            with self.assertRaisesRegex(ValueError, "LIVEKIT_API_SECRET_FILE"):
                read_secret_files(environment)


class SameRunTest(unittest.TestCase):
    def test_a_run_that_is_dispatched_again_is_the_same(self):
        run = Dispatch.parse(METADATA, "room")
        self.assertTrue(same_run(run, Dispatch.parse(METADATA, "room")))
        self.assertFalse(same_run(run, Dispatch("t", "s", "other", room_name="room")))

    def test_an_inbound_call_that_is_dispatched_again_is_the_same(self):
        ids = {"tenant_id": "t", "mapping_id": "m"}
        call = Inbound.parse(json.dumps(ids), "room")
        again = Dispatch.parse(json.dumps(ids | {"session_id": "s", "agent_run_id": "r"}), "room")
        for one, other in ((call, again), (again, call), (call, Inbound("t", "m", "room"))):
            self.assertTrue(same_run(one, other))
        elsewhere = Dispatch("t", "s", "r", "m", "another room")
        attached = Dispatch("t", "s", "r2", room_name="room")
        for other in (elsewhere, attached, Inbound("t", "m", "another room")):
            self.assertFalse(same_run(call, other))


class RequirementsTest(unittest.TestCase):
    FOLDER = Path(__file__).parent

    def test_every_package_has_its_hashes(self):
        text = (self.FOLDER / "requirements.txt").read_text().replace("\\\n", " ")
        packages = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        self.assertGreater(len(packages), 50)
        for package in packages:
            pinned = r"[a-z0-9.-]+==\S+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+"
            self.assertRegex(package, f"^{pinned}$")

    def test_what_is_wanted_is_what_is_pinned(self):
        pinned = (self.FOLDER / "requirements.txt").read_text()
        for line in (self.FOLDER / "requirements.in").read_text().splitlines():
            if not line.startswith("#"):
                self.assertIn(f"\n{line} ", pinned)


class LogTest(unittest.TestCase):
    def test_rooms_are_told_without_who_calls(self):
        for name, told in (
            ("dev-s-0199", "dev-s-0199"),
            ("dev-in-0199_+4930777777_x7Kd", "dev-in-0199_…_x7Kd"),
            ("dev-in-0199_ada_lovelace_x7Kd", "dev-in-0199_…_x7Kd"),
            ("dev-in-0199_+4930777777", "dev-in-0199_…"),
        ):
            logger = logging.Logger("test")
            logger.addFilter(WithoutCaller())
            with self.assertLogs(logger) as logged:
                logger.warning("refused", extra={"room": name})
            self.assertEqual(logged.records[0].room, told)

    def test_what_the_library_marks_as_personal_stays_out(self):
        logger = logging.getLogger("test.personal")
        logger.addFilter(WithoutCaller())
        with self.assertLogs(logger) as logged:
            logger.warning("linked", extra={"lk.pii.participant_identity": "sip_+4930777777", "job_id": "AJ_1"})
        told = vars(logged.records[0])
        self.assertEqual((told["lk.pii.participant_identity"], told["job_id"]), ("…", "AJ_1"))


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
