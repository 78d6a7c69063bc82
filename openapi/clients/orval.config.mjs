export default {
  patchbay: {
    input: "./openapi.json",
    output: { target: "./out/orval/index.ts", client: "fetch", mode: "single" },
  },
};
