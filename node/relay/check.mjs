// Compiles Relay's documents against the contract, in a temporary folder. Usage: node relay/check.mjs SCHEMA
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { buildSchema } from "graphql";
import compiler from "relay-compiler";
import { connectionTypes, relayDocuments } from "./documents.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const schemaFile = path.resolve(process.argv[2] ?? path.join(here, "../../schema.graphql"));
const schema = buildSchema(readFileSync(schemaFile, "utf8"));
const work = mkdtempSync(path.join(tmpdir(), "relay-"));
try {
  cpSync(path.join(here, "src"), path.join(work, "src"), { recursive: true });
  mkdirSync(path.join(work, "__generated__"));
  copyFileSync(path.join(here, "relay.config.json"), path.join(work, "relay.config.json"));
  copyFileSync(schemaFile, path.join(work, "schema.graphql"));
  for (const [name, text] of relayDocuments(schema)) writeFileSync(path.join(work, "src", name), text);
  const options = ["--noWatchman", "--output", "quiet-with-errors", "relay.config.json"];
  const { status, error } = spawnSync(compiler, options, { cwd: work, stdio: "inherit" });
  if (error) throw error;
  if (status === 0) report();
  process.exitCode = status ?? 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

function report() {
  const sources = readdirSync(path.join(work, "src"));
  const artifacts = readdirSync(path.join(work, "__generated__"));
  if (!artifacts.length) throw new Error("relay-compiler found nothing to compile");
  console.log(`connections: ${connectionTypes(schema).map(String).join(", ")}`);
  console.log(`${sources.length} files compiled to ${artifacts.length} artifacts, 0 problems`);
}
