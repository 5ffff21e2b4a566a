// Starts GraphiQL. `?query=&variables=&headers=&operationName=` prefill it; the address is never rewritten.
"use strict";

(() => {
  const PLACEHOLDER = "<account id>";
  const ACCEPT = "application/graphql-response+json, application/json";
  const { createElement, useEffect, useRef, useState } = React;
  const NO_TOKEN = JSON.stringify({ Authorization: "Bearer " }, null, 2);
  const links = [...document.querySelectorAll("#examples a")];
  const given = new URLSearchParams(location.search);

  // GraphiQL's history stores the headers of every request, `shouldPersistHeaders` or not. So only what is harmless
  // reaches localStorage; the rest, tokens and queries, lives as long as the page.
  const HARMLESS = ["theme", "docExplorerFlex", "editorFlex", "secondaryEditorFlex", "visiblePlugin"];
  const memory = new Map();
  const isHarmless = (key) => HARMLESS.includes(key.replace(/^graphiql:/, ""));
  const storage = {
    get length() {
      return memory.size;
    },
    getItem: (key) => (isHarmless(key) ? localStorage.getItem(key) : (memory.get(key) ?? null)),
    setItem: (key, value) => (isHarmless(key) ? localStorage.setItem(key, value) : memory.set(key, value)),
    removeItem: (key) => (isHarmless(key) ? localStorage.removeItem(key) : memory.delete(key)),
    clear: () => {
      memory.clear();
      for (const key of HARMLESS) localStorage.removeItem(`graphiql:${key}`);
    },
  };

  async function post(body, headers) {
    const response = await fetch(location.pathname, {
      method: "POST",
      headers: { accept: ACCEPT, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      return { errors: [{ message: `HTTP ${response.status} ${response.statusText}`, body: text.slice(0, 1000) }] };
    }
  }

  function parsed(json) {
    try {
      return JSON.parse(json) ?? {};
    } catch {
      return {};
    }
  }

  // An example about one account takes the newest of the viewer's that works, or else the newest.
  async function withAccountId(variables, headers) {
    if (!variables.includes(PLACEHOLDER)) return variables;
    const query = `query NewestAccount {
      working: accounts(first: 1, filter: { status: [ACTIVE] }) { edges { node { id } } }
      any: accounts(first: 1) { edges { node { id } } }
    }`;
    try {
      const { data } = await post({ query }, parsed(headers));
      const [newest] = [...data.working.edges, ...data.any.edges];
      return variables.replaceAll(PLACEHOLDER, newest.node.id);
    } catch {
      return variables; // no token, or no account: whoever reads the variables sees what is missing
    }
  }

  // Who the headers speak for, read from the token without checking it: the server does that.
  function subject(headers) {
    const values = Object.entries(parsed(headers)).filter(([name]) => name.toLowerCase() === "authorization");
    const claims = /^Bearer [\w-]+\.([\w-]+)\./.exec(values[0]?.[1] ?? "")?.[1];
    if (!claims) return "";
    try {
      return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))).sub ?? "";
    } catch {
      return "";
    }
  }

  function showWho(headers) {
    const sub = subject(headers);
    document.querySelector("#signed-in").textContent = sub ? `Signed in as ${sub}` : "No token in the headers tab";
  }

  function mark(query) {
    for (const link of links) {
      const own = new URLSearchParams(link.search).get("query");
      link.setAttribute("aria-current", String(own.trim() === query.trim()));
    }
  }

  // Without a token there was no schema to ask for: a new viewer's token asks again.
  function SchemaOf({ viewer }) {
    const { introspect } = GraphiQL.React.useSchemaContext({ nonNull: true });
    const askedFor = useRef(viewer);
    useEffect(() => {
      if (viewer === "" || viewer === askedFor.current) return;
      askedFor.current = viewer;
      setTimeout(introspect); // GraphiQL notes the headers in an effect of its own, which comes after this one
    }, [viewer]);
    return null;
  }

  function Explorer({ start }) {
    const [query, setQuery] = useState(start.query);
    const [variables, setVariables] = useState(start.variables);
    const [headers, setHeaders] = useState(start.headers);

    useEffect(() => mark(query), [query]);
    useEffect(() => showWho(headers), [headers]);
    // A click loads the example in place, so that the headers stay; a new tab takes those of the address.
    useEffect(() => {
      for (const link of links) {
        link.onclick = async (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
          event.preventDefault();
          const example = new URLSearchParams(link.search);
          const filled = await withAccountId(example.get("variables") ?? "", headers);
          setQuery(example.get("query"));
          setVariables(filled);
        };
      }
    }, [headers]);

    return createElement(
      GraphiQL,
      {
        fetcher: (body, options) => post(body, options?.headers),
        storage,
        plugins: start.plugins,
        query,
        variables,
        headers,
        operationName: start.operationName,
        onEditQuery: setQuery,
        onEditVariables: setVariables,
        onEditHeaders: setHeaders,
        toolbar: { additionalContent: createElement(SchemaOf, { viewer: subject(headers) }) },
        defaultEditorToolsVisibility: start.headers === NO_TOKEN ? "headers" : "variables",
        inputValueDeprecation: true,
        schemaDescription: true,
        isHeadersEditorEnabled: true,
        shouldPersistHeaders: false,
      },
      createElement(GraphiQL.Logo, null, " "),
    );
  }

  async function boot() {
    const headers = given.get("headers") ?? "";
    const example = new URLSearchParams(given.has("query") ? "" : links[0]?.search);
    const start = {
      query: given.get("query") ?? example.get("query") ?? "",
      variables: await withAccountId(given.get("variables") ?? example.get("variables") ?? "", headers),
      headers: headers || NO_TOKEN,
      operationName: given.get("operationName") ?? undefined,
      plugins: [GraphiQLPluginExplorer.explorerPlugin()],
    };
    if (headers) for (const link of links) link.search += `&${new URLSearchParams({ headers })}`;
    ReactDOM.createRoot(document.querySelector("#graphiql")).render(createElement(Explorer, { start }));
  }

  boot();
})();
