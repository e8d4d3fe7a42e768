// Checks a file by the HAR schema: node validate.mjs FILE
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const Ajv = require("ajv");
const schemas = require("har-schema");

const ajv = new Ajv({ allErrors: true });
ajv.addMetaSchema(require("ajv/lib/refs/json-schema-draft-06.json"));
for (const schema of Object.values(schemas)) {
  ajv.addSchema(schema);
}
const validate = ajv.getSchema("har.json#");
const file = JSON.parse(readFileSync(process.argv[2], "utf8"));
if (!validate(file)) {
  console.log(validate.errors.map((e) => `${e.dataPath} ${e.message}`).join("\n"));
  process.exit(1);
}
