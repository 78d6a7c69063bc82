export default {
  patchbay: {
    input: "./openapi.json",
    output: { target: "./out/orval/index.ts", client: "react-query", httpClient: "fetch", mode: "single" },
  },
};
