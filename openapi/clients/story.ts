// README's story with a generated client: `node story.js <base URL> <tenant> <key>`.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./out/openapi-typescript/index.js";

type Schemas = components["schemas"];

const [base = "", tenant_id = "", key = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: base, headers: { authorization: `Bearer ${key}` } });
const path = { tenant_id };

/** The body of a response; a problem that is not expected ends the story. */
function made<T>(answer: { data?: T; error?: unknown }): NonNullable<T> {
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  assert.ok(answer.data);
  return answer.data;
}

async function anAgentWithAPromptAndATool(): Promise<Schemas["Agent"]> {
  const prompt = made(await client.POST("/api/tenants/{tenant_id}/prompts", { params: { path }, body: { name: "reception (TypeScript)" } }));
  const promptVersion = made(
    await client.POST("/api/tenants/{tenant_id}/prompts/{prompt_id}/versions", {
      params: { path: { ...path, prompt_id: prompt.id } },
      body: { spec: { template: "You answer the phone of {{ company }}.", variables: [{ name: "company", required: true }] } },
    }),
  );
  const config = made(await client.POST("/api/tenants/{tenant_id}/runtime-configs", { params: { path }, body: { name: "echo (TypeScript)" } }));
  const configVersion = made(
    await client.POST("/api/tenants/{tenant_id}/runtime-configs/{config_id}/versions", {
      params: { path: { ...path, config_id: config.id } },
      // A part of the limits will do.
      body: { spec: { kind: "echo", limits: { max_duration_seconds: 600 } } },
    }),
  );
  // A pipeline needs its models, and a tool has the field of its kind alone: neither of these compiles.
  // @ts-expect-error `stt`, `llm` and `tts` are missing
  const pipeline: Schemas["RuntimeSpec"] = { kind: "pipeline" };
  // @ts-expect-error `mcp` is not for the kind `client`
  const both: Schemas["ToolSpec"] = { kind: "client", function_name: "f", description: "d", client: {}, mcp: { url: "", tool_name: "" } };
  assert.ok(pipeline && both);
  const tool = made(await client.POST("/api/tenants/{tenant_id}/tools", { params: { path }, body: { name: "open page (TypeScript)" } }));
  const toolVersion = made(
    await client.POST("/api/tenants/{tenant_id}/tools/{tool_id}/versions", {
      params: { path: { ...path, tool_id: tool.id } },
      body: {
        spec: {
          kind: "client",
          function_name: "open_page",
          description: "Opens a page.",
          client: { timeout_seconds: 10 },
          parameters: { type: "object", properties: { page: { type: "integer" } } },
        },
      },
    }),
  );
  assert.equal(toolVersion.spec.kind, "client");
  const agent = made(await client.POST("/api/tenants/{tenant_id}/agents", { params: { path }, body: { name: "reception (TypeScript)" } }));
  const ofAgent = { ...path, agent_id: agent.id };
  const binding = made(
    await client.POST("/api/tenants/{tenant_id}/agents/{agent_id}/bindings", {
      params: { path: ofAgent },
      body: { prompt_version_id: promptVersion.id, runtime_config_version_id: configVersion.id, tool_version_ids: [toolVersion.id] },
    }),
  );
  made(
    await client.POST("/api/tenants/{tenant_id}/agents/{agent_id}/bindings/{binding_id}/activate", {
      params: { path: { ...ofAgent, binding_id: binding.id } },
    }),
  );
  return agent;
}

async function aSessionWithVariables(agent: Schemas["Agent"]): Promise<void> {
  const session = made(
    await client.POST("/api/tenants/{tenant_id}/sessions", {
      params: { path, header: { "Idempotency-Key": `typescript-${agent.id}` } },
      body: { agent_id: agent.id, variables: { company: "Acme" }, metadata: { page: 7 }, start: true },
    }),
  );
  assert.deepEqual([session.variables, session.metadata], [{ company: "Acme" }, { page: 7 }]);
  const ofSession = { ...path, session_id: session.id };
  const events = made(await client.GET("/api/tenants/{tenant_id}/sessions/{session_id}/events", { params: { path: ofSession } }));
  for (const event of events.data) {
    // The kind tells which fields an event has.
    if (event.kind === "run.pending") assert.equal(typeof event.agent_run_id, "string");
  }
  assert.ok(events.data.some((event) => event.kind === "session.created"));
  const attached: Schemas["Attach"] = { type: "user", name: "Ada" };
  assert.equal(attached.type, "user");
  const ended = made(
    await client.POST("/api/tenants/{tenant_id}/sessions/{session_id}/stop", { params: { path: ofSession }, body: {} }),
  );
  assert.ok(ended.end_reason === null || ended.end_reason === "stopped");
}

async function aFileUpAndDown(): Promise<void> {
  const content = new TextEncoder().encode("Grüße 🌹\n");
  const uploaded = await client.POST("/api/tenants/{tenant_id}/files", {
    params: { path },
    // A form's fields are what the schema names; the file is a `Blob`.
    body: { file: "", metadata: '{"year": 2026}' },
    bodySerializer: (fields) => {
      const form = new FormData();
      form.set("metadata", fields?.metadata ?? "{}");
      form.set("file", new Blob([content]), "greetings.txt");
      return form;
    },
  });
  const file = made(uploaded);
  assert.deepEqual([file.name, file.size_bytes, file.metadata], ["greetings.txt", content.length, { year: 2026 }]);
  const params = { path: { ...path, file_id: file.id } };
  const bytes = made(await client.GET("/api/tenants/{tenant_id}/files/{file_id}/content", { params, parseAs: "arrayBuffer" }));
  assert.deepEqual(new Uint8Array(bytes), content);
  // What a client sends that can send JSON alone is no file.
  const refused = await client.POST("/api/tenants/{tenant_id}/files", { params: { path }, body: { file: "" } });
  assert.equal(refused.error?.code, "unsupported_media_type");
}

async function aChangeOfOneRevision(agent: Schemas["Agent"]): Promise<void> {
  const ofAgent = { ...path, agent_id: agent.id };
  const { response } = await client.GET("/api/tenants/{tenant_id}/agents/{agent_id}", { params: { path: ofAgent } });
  const etag = response.headers.get("etag") ?? "";
  const change = () =>
    client.PATCH("/api/tenants/{tenant_id}/agents/{agent_id}", {
      params: { path: ofAgent, header: { "If-Match": etag } },
      body: { description: "Answers the phone." },
    });
  assert.equal(made(await change()).description, "Answers the phone.");
  const late = await change();
  assert.deepEqual([late.response.status, late.error?.code], [412, "precondition_failed"]);
}

async function aWrongValueIsNamed(): Promise<void> {
  const { error } = await client.POST("/api/tenants/{tenant_id}/agents", { params: { path }, body: { name: "" } });
  const violations = error && "errors" in error ? error.errors : undefined;
  assert.deepEqual(violations?.map(({ pointer, code }) => [pointer, code]), [["/name", "too_short"]]);
}

async function everyPage(): Promise<void> {
  for (let number = 0; number < 4; number++) {
    made(await client.POST("/api/tenants/{tenant_id}/agents", { params: { path }, body: { name: `typescript ${number}` } }));
  }
  const ids = new Set<string>();
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? { limit: 2 } : { limit: 2, cursor };
    const page = made(await client.GET("/api/tenants/{tenant_id}/agents", { params: { path, query } }));
    page.data.forEach((agent) => ids.add(agent.id));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  assert.ok(ids.size >= 5);
}

const agent = await anAgentWithAPromptAndATool();
await aSessionWithVariables(agent);
await aFileUpAndDown();
await aChangeOfOneRevision(agent);
await aWrongValueIsNamed();
await everyPage();
console.log("· the story works in TypeScript");
