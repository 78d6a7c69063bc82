// Shows the service's own document. Nothing is loaded from or sent to anywhere else.

import { withSamples } from "./samples.js";

const page = document.getElementById("reference");

// A request that is tried would send the examples and defaults of its parameters as if they were meant: a cursor that
// leads nowhere, an ETag that never was.
function withoutExamples(api) {
  const forget = (parameter) => {
    delete parameter.example;
    if (parameter.schema?.default === undefined) return;
    parameter.description += ` Default: \`${parameter.schema.default}\`.`;
    delete parameter.schema.default;
  };
  Object.values(api.components.parameters).forEach(forget);
  for (const path of Object.values(api.paths)) {
    for (const operation of Object.values(path)) (operation.parameters ?? []).forEach(forget);
  }
  return api;
}

async function start() {
  if (!window.Scalar) throw new Error("the page's script is missing");
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json: ${response.status}`);
  Scalar.createApiReference(page, {
    content: withoutExamples(withSamples(await response.json(), location.origin)),
    authentication: { preferredSecurityScheme: "api_key" },
    defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
    featuredClients: ["shell/curl", "js/fetch", "python/requests"],
    documentDownloadType: "direct",
    orderRequiredPropertiesFirst: false,
    orderSchemaPropertiesBy: "preserve",
    persistAuth: false,
    telemetry: false,
    withDefaultFonts: false,
    showDeveloperTools: "never",
    hideClientButton: true,
    agent: { disabled: true },
    mcp: { disabled: true },
  });
}

start().catch((error) => {
  page.textContent = `The reference cannot be shown: ${error.message}. The OpenAPI document is at /openapi.json.`;
});
