export default { input: "openapi.yaml", output: { path: "hey", module: { extension: ".js" } } };
