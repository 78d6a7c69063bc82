"""Tests of traces, with a collector that is asked by a process such as those of jobs."""

import json
import logging
import multiprocessing
import os
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest import mock

from livekit.agents import telemetry
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import tracing
from patchbay_worker import Dispatch, same_run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SAID = "My number is 0301234567."
# Seconds that the exporter waits for a collector.
EXPORTER_WAITS = 60


def metadata(traceparent: object) -> str:
    ids = {"tenant_id": "t", "session_id": "s", "agent_run_id": "r"}
    return json.dumps(ids | {"traceparent": traceparent})


def in_job(text: str):
    """As if the caller ran in a job with this metadata."""
    job = SimpleNamespace(job=SimpleNamespace(metadata=text))
    return mock.patch.object(tracing, "get_job_context", lambda required: job)


class ContextTest(unittest.TestCase):
    def test_a_job_continues_the_trace_of_its_dispatch(self):
        with in_job(metadata(TRACEPARENT)):
            self.assertEqual(tracing.headers(), {"traceparent": TRACEPARENT})

    def test_what_is_no_traceparent_is_none(self):
        zeros = [f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"]
        broken = [TRACEPARENT.upper(), TRACEPARENT[:-1], f"{TRACEPARENT}-00", f"ff{TRACEPARENT[2:]}", f"{TRACEPARENT}\r\nX-Other: 1"]
        wrong = [metadata(one) for one in (None, "", 1, [TRACEPARENT], "00-" * 1000, *zeros, *broken)]
        for text in [*wrong, "", "null", "[]", "{}", "no JSON"]:
            with in_job(text):
                self.assertEqual(tracing.headers(), {}, text)

    def test_outside_of_jobs_there_is_no_trace(self):
        self.assertEqual(tracing.headers(), {})

    def test_a_span_of_the_job_goes_before_its_dispatch(self):
        tracer = TracerProvider().get_tracer("test")
        with in_job(metadata(TRACEPARENT)), tracer.start_as_current_span("tool", tracing.here()) as span:
            sent = tracing.headers()["traceparent"].split("-")
            self.assertEqual(sent[1:3], [TRACE, trace.format_span_id(span.get_span_context().span_id)])
            self.assertNotEqual(sent[2], PARENT)

    def test_a_run_is_known_by_its_ids_whatever_its_trace(self):
        one, other = (Dispatch.parse(metadata(traceparent), "room") for traceparent in (TRACEPARENT, None))
        self.assertTrue(same_run(one, other))


class LogTest(unittest.TestCase):
    def log(self, extra: dict | None = None) -> logging.LogRecord:
        logger = logging.getLogger("test.traces")
        with self.assertLogs(logger) as logged:
            logger.handlers[0].addFilter(tracing.WITH_TRACE)
            logger.warning("line", extra=extra)
        return logged.records[0]

    def test_lines_have_the_id_of_the_trace(self):
        with in_job(metadata(TRACEPARENT)):
            self.assertEqual(self.log().trace_id, TRACE)
            self.assertEqual(self.log({"trace_id": "theirs"}).trace_id, "theirs")
        self.assertFalse(hasattr(self.log(), "trace_id"))


class ContentTest(unittest.TestCase):
    def test_only_numbers_and_text_of_known_names_are_exported(self):
        memory = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(tracing.WithoutContent(memory)))
        link = trace.Link(trace.SpanContext(1, 2, True), {"said": SAID})
        with self.assertRaises(ValueError):
            with provider.get_tracer("test").start_as_current_span("llm_node", Context(), links=[link]) as span:
                span.set_attributes({"lk.pii.chat_ctx": SAID, "gen_ai.input.messages": SAID, "lk.pii.number": 301234567})
                span.set_attributes({"lk.sip.callID": SAID, "lk.rpc.caller_identity": "sip_0301234567", "lk.words": [SAID]})
                span.set_attributes({"lk.function_tool.name": "book", "lk.response.ttft": 0.5, "lk.interrupted": True})
                span.add_event("participant_linked", {"lk.pii.participant_identity": SAID, "lk.participant_kind": "SIP"})
                raise ValueError(SAID)
        told = memory.get_finished_spans()[0]
        self.assertNotIn("0301234567", told.to_json())
        self.assertEqual(dict(told.attributes), {"lk.function_tool.name": "book", "lk.response.ttft": 0.5, "lk.interrupted": True})
        events = {event.name: dict(event.attributes) for event in told.events}
        self.assertEqual(events, {"participant_linked": {"lk.participant_kind": "SIP"}, "exception": {"exception.type": "ValueError"}})
        self.assertEqual((told.status.status_code, told.status.description), (trace.StatusCode.ERROR, None))
        self.assertEqual([(one.context.trace_id, dict(one.attributes or {})) for one in told.links], [(1, {})])


class WantedTest(unittest.TestCase):
    def test_nothing_is_exported_unless_a_collector_is_named(self):
        one, other = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}
        empty, disabled = {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_SDK_DISABLED": "true"}
        for environment, wanted in (({}, False), (empty, False), (one, True), (other, True), (one | disabled, False)):
            with mock.patch.dict(os.environ, environment, clear=True):
                self.assertEqual(tracing.is_wanted(), wanted, environment)

    def test_a_wrong_setting_costs_no_conversation(self):
        # A batch would be larger than the queue.
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_BSP_MAX_QUEUE_SIZE": "1"}
        with mock.patch.dict(os.environ, environment), mock.patch.object(tracing, "DONE", False), self.assertLogs(tracing.log):
            tracing.set_up(None)


def carry_out(text: str, environment: dict[str, str], flushed_within: float, ended) -> None:
    """What a process of jobs does: it is set up, has a job, and ends."""
    os.environ.update(environment)
    tracing.FLUSHED_WITHIN = flushed_within
    tracing.set_up(None)
    with in_job(text), telemetry.tracer.start_as_current_span("job_entrypoint"):
        tracing.tell(session_id="s", said=SAID)
    ended.send(time.monotonic())


class Collector:
    """Takes spans, or hangs."""

    def __init__(self, hangs: bool = False):
        self.requests: list[ExportTraceServiceRequest] = []
        requests, goes_on = self.requests, threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hangs:
                    goes_on.wait()
                requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._goes_on = goes_on
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._goes_on.set()
        self._server.shutdown()
        self._server.server_close()


class ExportTest(unittest.TestCase):
    def run_job(self, text: str, url: str, flushed_within: float = EXPORTER_WAITS) -> float:
        """Runs a job in a process of its own, and returns for how many seconds this went on afterwards."""
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_RESOURCE_ATTRIBUTES": "zone=a"}
        environment["OTEL_EXPORTER_OTLP_TIMEOUT"] = str(EXPORTER_WAITS)
        # As on Linux in production: such processes run nothing that is registered with `atexit`.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tracing"])
        ended, sender = context.Pipe(duplex=False)
        process = context.Process(target=carry_out, args=(text, environment, flushed_within, sender))
        process.start()
        sender.close()
        end = ended.recv()
        process.join(2 * EXPORTER_WAITS)
        self.assertEqual(process.exitcode, 0)
        return time.monotonic() - end

    def test_the_spans_of_a_job_are_in_the_trace_of_its_dispatch(self):
        collector = Collector()
        with collector as url:
            self.run_job(metadata(TRACEPARENT), url)
        (exported,) = [spans for request in collector.requests for spans in request.resource_spans]
        resource = {one.key: one.value.string_value for one in exported.resource.attributes}
        self.assertEqual((resource["service.name"], resource["zone"]), ("patchbay-agent-worker", "a"))
        (span,) = exported.scope_spans[0].spans
        self.assertEqual((span.trace_id.hex(), span.parent_span_id.hex(), span.name), (TRACE, PARENT, "job_entrypoint"))
        self.assertEqual([(one.key, one.value.string_value) for one in span.attributes], [("session_id", "s")])

    def test_a_job_without_one_begins_a_trace_of_its_own(self):
        collector = Collector()
        with collector as url:
            self.run_job(metadata("wrong"), url)
        span = collector.requests[0].resource_spans[0].scope_spans[0].spans[0]
        self.assertEqual((span.parent_span_id, span.trace_id.hex() == TRACE), (b"", False))

    def test_a_collector_that_hangs_does_not_hold_a_process_up(self):
        collector = Collector(hangs=True)
        with collector as url:
            went_on = self.run_job(metadata(TRACEPARENT), url, flushed_within=1)
        self.assertGreaterEqual(went_on, 1)
        self.assertLess(went_on, EXPORTER_WAITS / 2)


if __name__ == "__main__":
    unittest.main()
