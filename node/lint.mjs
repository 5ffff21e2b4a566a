// Relay's rules of @graphql-eslint on the contract. Usage: node lint.mjs SCHEMA
import path from "node:path";
import graphql from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";

const schema = path.resolve(process.argv[2] ?? "../schema.graphql");
const relay = graphql.configs["flat/schema-relay"];

const eslint = new ESLint({
  cwd: path.dirname(schema),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ["**/*.graphql"],
      plugins: { "@graphql-eslint": graphql },
      languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema } } },
      rules: {
        ...relay.rules,
        // By default every list has to be one of edges; a history of counters and the answer of `nodes` are plain lists.
        "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false }],
      },
    },
  ],
});

const results = await eslint.lintFiles([schema]);
const problems = results.flatMap((result) => result.messages);
for (const { line, message, ruleId } of problems) console.error(`${path.basename(schema)}:${line} ${message} (${ruleId})`);
console.log(`${Object.keys(relay.rules).length} rules, ${problems.length} problems`);
process.exitCode = problems.length ? 1 : 0;
