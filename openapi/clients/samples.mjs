// Writes the samples of the reference page to `samples`, where they are compiled.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { withSamples } from "./samples.js";

const api = withSamples(JSON.parse(readFileSync("openapi.json", "utf8")), "https://patchbay.example.org");
const operations = Object.values(api.paths).flatMap((path) => Object.values(path));
const sampled = operations.filter((operation) => operation["x-codeSamples"]);
// The two whose bodies are a form and a signed event have none.
if (sampled.length < operations.length - 2) throw new Error("operations without a sample");

rmSync("samples", { recursive: true, force: true });
mkdirSync("samples");
writeFileSync("samples/patchbay.d.ts", 'export type { paths } from "../out/openapi-typescript/index.js";\n');
for (const operation of sampled) writeFileSync(`samples/${operation.operationId}.ts`, operation["x-codeSamples"][0].source);
