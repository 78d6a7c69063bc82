"""Traces: a job continues the trace that its dispatch came with, and its spans go to a collector if one is named.

Trace ids are in the log and in requests to Patchbay also where nothing is exported.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Sequence
from multiprocessing.util import Finalize

from livekit.agents import JobProcess, get_job_context, telemetry
from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from patchbay_worker import VERSION

log = logging.getLogger("patchbay.worker")

# Seconds that a process may go on after its job, to send the last spans.
FLUSHED_WITHIN = 3.0
TRACEPARENT = TraceContextTextMapPropagator()
# Text that spans may have: ids, and words of closed sets. What people say, the prompt, arguments and results of tools, names
# and numbers of callers, and messages of errors, which may quote all of these, are under other names, and stay here.
TOLD = frozenset(
    """
    tenant_id session_id agent_run_id
    error.type exception.type rpc.method
    gen_ai.conversation.id gen_ai.operation.name gen_ai.output.type gen_ai.provider.name gen_ai.request.model
    gen_ai.response.finish_reasons gen_ai.response.id gen_ai.response.model
    gen_ai.tool.call.id gen_ai.tool.name gen_ai.tool.type
    lk.agent_name lk.callback.name lk.close_reason lk.connection_state lk.disconnect_reason lk.dispatch_id lk.eou.outcome
    lk.eou.source lk.function_tool.id lk.function_tool.name lk.generation_id lk.interruption.source lk.job.worker_id lk.job_id
    lk.new_state lk.old_state lk.parent_generation_id lk.participant_id lk.participant_kind lk.provider_request_ids
    lk.room_sid lk.shutdown.reason lk.speech_id lk.track_sid lk.track_source
    """.split()
)


def received(metadata: str, context: Context | None = None) -> Context:
    """The context that a dispatch came with; an unchanged one if it came with none, or none that can be read."""
    context = get_current() if context is None else context
    try:
        traceparent = json.loads(metadata)["traceparent"]
    except (ValueError, TypeError, KeyError):
        return context
    return TRACEPARENT.extract({"traceparent": traceparent}, context) if isinstance(traceparent, str) else context


def here(context: Context | None = None) -> Context | None:
    """The context of what runs now: that of the current span, or that of the job's dispatch where there is no span."""
    job = get_job_context(required=False)
    if job is None or trace.get_current_span(context).get_span_context().is_valid:
        return context
    return received(job.job.metadata, context)


def enter(metadata: str) -> None:
    """Puts the rest of this task into the trace of a dispatch."""
    attach(received(metadata))


def headers() -> dict[str, str]:
    """The headers with which a request continues the trace."""
    sent: dict[str, str] = {}
    TRACEPARENT.inject(sent, here())
    return sent


def tell(**ids: str) -> None:
    """Adds ids to the current span."""
    trace.get_current_span().set_attributes(ids)


class WithTrace(logging.Filter):
    """Adds the trace's id to log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        span = trace.get_current_span(here()).get_span_context()
        # The worker logs again what processes of jobs have logged; and libraries may have a `trace_id` of their own.
        if span.is_valid and not hasattr(record, "trace_id"):
            record.trace_id = trace.format_trace_id(span.trace_id)
        return True


WITH_TRACE = WithTrace()


def mark_logs() -> None:
    """Has trace ids in all of this process's log."""
    # A filter of loggers would not apply to their children, such as those of plugins.
    for handler in logging.getLogger().handlers:
        handler.addFilter(WITH_TRACE)


class JobTracer(trace.Tracer):
    """A tracer whose spans belong to the trace of the job's dispatch. The agents library starts a job's first span itself,
    before it calls the worker."""

    def __init__(self, tracer: trace.Tracer):
        self._tracer = tracer

    def start_span(self, name: str, context: Context | None = None, *args, **options):
        return self._tracer.start_span(name, here(context), *args, **options)

    def start_as_current_span(self, name: str, context: Context | None = None, *args, **options):
        return self._tracer.start_as_current_span(name, here(context), *args, **options)


class JobTracerProvider(TracerProvider):
    def get_tracer(self, *args, **options) -> trace.Tracer:
        return JobTracer(super().get_tracer(*args, **options))


def told(attributes: dict | None) -> dict:
    """The attributes that are exported: numbers, and text of known names."""
    return {
        name: value
        for name, value in (attributes or {}).items()
        if name in TOLD or (isinstance(value, (bool, int, float)) and "pii" not in name.split("."))
    }


def without_content(span: ReadableSpan) -> ReadableSpan:
    """The span without what people say or are."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=told(span.attributes),
        events=[Event(event.name, told(event.attributes), event.timestamp) for event in span.events],
        links=[trace.Link(link.context) for link in span.links],
        kind=span.kind,
        # Its description is the message of an error.
        status=trace.Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class WithoutContent(SpanExporter):
    """Exports spans without what people say or are."""

    def __init__(self, exporter: SpanExporter):
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([without_content(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def is_wanted() -> bool:
    """Whether a collector is named."""
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not is_disabled and any(os.environ.get(name) for name in endpoints)


def export() -> None:
    """Has the spans of this process exported until it ends."""
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({SERVICE_NAME: "patchbay-agent-worker", SERVICE_VERSION: VERSION, **named})
    # Its own end would wait for the collector as long as that likes.
    provider = JobTracerProvider(resource=resource, shutdown_on_exit=False)
    batches = BatchSpanProcessor(WithoutContent(OTLPSpanExporter()))
    provider.add_span_processor(batches)
    flush_at_exit(batches)
    # What would not be exported need not be collected.
    telemetry.gen_ai.set_capture_content(False)
    telemetry.set_tracer_provider(provider, allow_pii=False)


def flush_at_exit(batches: BatchSpanProcessor) -> None:
    """Has the last spans sent when the process ends, for as long as is allowed."""
    is_over = threading.Event()

    def flush() -> None:
        is_over.wait()
        batches.force_flush()

    def finish() -> None:
        is_over.set()
        thread.join(FLUSHED_WITHIN)

    # `force_flush` knows no timeout, and an interpreter that ends starts no thread: this one waits from the beginning.
    thread = threading.Thread(target=flush, name="last-spans", daemon=True)
    thread.start()
    # Not `atexit`, which processes of jobs skip.
    Finalize(None, finish, exitpriority=0)


LOCK = threading.Lock()
DONE = False


def set_up(_: JobProcess) -> None:
    """Runs before the first job of a process, and before each job that is a thread."""
    global DONE
    mark_logs()
    with LOCK:
        if DONE or not is_wanted():
            return
        DONE = True
        try:
            export()
        except Exception as error:
            # A wrong setting of traces must not cost conversations.
            log.warning("no spans are exported: %s", error)
