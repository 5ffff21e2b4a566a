// What Relay asks of a schema, as documents: a fragment with @refetchable and @connection, forwards, backwards and both
// ways, for every field that returns a connection, and a @refetchable fragment for every type that is a Node.
import { getNamedType, isInterfaceType, isObjectType, isRequiredArgument } from "graphql";

/** Names of files -> their texts. Throws if a connection type is returned by no field. */
export function relayDocuments(schema) {
  const fields = connectionFields(schema);
  const orphans = connectionTypes(schema).filter((type) => !fields.some(({ field }) => getNamedType(field.type) === type));
  if (orphans.length) throw new Error(`returned by no field: ${orphans.map(String).join(", ")}`);
  return new Map([
    ...fields.map(({ parent, field }) => [`${moduleName(parent, field.name)}.js`, connectionDocument(schema, parent, field)]),
    ...nodeTypes(schema).map((type) => [`${moduleName(type, "refetch")}.js`, refetchDocument(type)]),
  ]);
}

export function connectionTypes(schema) {
  return Object.values(schema.getTypeMap()).filter((type) => isObjectType(type) && type.name.endsWith("Connection"));
}

function connectionFields(schema) {
  const connections = new Set(connectionTypes(schema));
  const parents = Object.values(schema.getTypeMap()).filter((type) => isObjectType(type) || isInterfaceType(type));
  return parents.flatMap((parent) =>
    Object.values(parent.getFields())
      .filter((field) => connections.has(getNamedType(field.type)))
      .map((field) => ({ parent, field })),
  );
}

function nodeTypes(schema) {
  const node = schema.getType("Node");
  return isInterfaceType(node) ? schema.getPossibleTypes(node) : [];
}

function moduleName(type, suffix) {
  return `${type.name}_${suffix}`.replace(/_(\w)/, (_, first) => first.toUpperCase());
}

const WAYS = {
  forwards: { variables: { count: "Int", cursor: "String" }, paging: "first: $count, after: $cursor" },
  backwards: { variables: { count: "Int", cursor: "String" }, paging: "last: $count, before: $cursor" },
  bothWays: {
    variables: { first: "Int", after: "String", last: "Int", before: "String" },
    paging: "first: $first, after: $after, last: $last, before: $before",
  },
};

function connectionDocument(schema, parent, field) {
  const name = moduleName(parent, field.name);
  const required = field.args.filter(isRequiredArgument);
  const fixed = required.map((arg) => `, ${arg.name}: $${arg.name}`).join("");
  const fixedVariables = Object.fromEntries(required.map((arg) => [arg.name, String(arg.type)]));
  const fragments = Object.entries(WAYS).map(([way, { variables, paging }]) => {
    const definitions = Object.entries({ ...variables, ...fixedVariables });
    const typed = definitions.map(([variable, type]) => `${variable}: { type: "${type}" }`).join(", ");
    return tagged(`
fragment ${name}_${way} on ${parent}
  @refetchable(queryName: "${name}${way}PaginationQuery")
  @argumentDefinitions(${typed}) {
  ${field.name}(${paging}${fixed}) @connection(key: "${name}_${way}_${field.name}") {
    edges {
      node {
        __typename
      }
    }
  }
}`);
  });
  return file(fragments);
}

function refetchDocument(type) {
  const name = moduleName(type, "refetch");
  return file([tagged(`
fragment ${name}_node on ${type} @refetchable(queryName: "${name}NodeQuery") {
  __typename
}`)]);
}

function tagged(text) {
  return `graphql\`${text}\n\`;`;
}

function file(tags) {
  return `import { graphql } from "react-relay";\n\n${tags.join("\n\n")}\n`;
}
