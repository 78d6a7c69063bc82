// Samples in TypeScript, for openapi-fetch with the types that openapi-typescript generates from the document.

// Adds a sample to every operation whose body is JSON, if it has one.
export function withSamples(api, base) {
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const options = exampleOptions(api, operation);
      if (!options) continue;
      const source = sample(base, `${method.toUpperCase()}("${path}"${argument(options)})`);
      operation["x-codeSamples"] = [{ lang: "typescript", label: "TypeScript", source }];
    }
  }
  return api;
}

// Required parameters and the body, with their examples.
function exampleOptions(api, operation) {
  const resolve = (value) => {
    if (!value?.$ref) return value;
    return value.$ref.slice(2).split("/").reduce((inner, key) => inner[key], api);
  };
  const params = {};
  for (const parameter of (operation.parameters ?? []).map(resolve)) {
    if (parameter.required) (params[parameter.in] ??= {})[parameter.name] = parameter.example;
  }
  const options = Object.keys(params).length > 0 ? { params } : {};
  if (!operation.requestBody) return options;
  const media = operation.requestBody.content["application/json"];
  return media && { ...options, body: media.example ?? resolve(media.schema).example };
}

function argument(options) {
  if (Object.keys(options).length === 0) return "";
  return ", " + JSON.stringify(options, null, 2).replace(/^( *)"(\w+)":/gm, "$1$2:");
}

function sample(base, call) {
  return `// npx openapi-typescript ${base}/openapi.json -o patchbay.d.ts
import createClient from "openapi-fetch";
import type { paths } from "./patchbay.js";

const client = createClient<paths>({
  baseUrl: "${base}",
  headers: { authorization: \`Bearer \${process.env.PATCHBAY_KEY}\` },
});
const { data, error } = await client.${call};
if (error) throw error;
console.log(data);
`;
}
