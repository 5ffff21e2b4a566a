#!/usr/bin/env node
// Recreates src/tiktok_accounts_gql/web/graphiql/static/{vendor/,LICENSES.txt} from npm packages, by name and version.
// The files are taken as published; a file whose hash is not the one below stops the script.
// Usage: node scripts/vendor_graphiql.mjs
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const STATIC = path.join(
  path.dirname(fileURLToPath(import.meta.url)),
  "../src/tiktok_accounts_gql/web/graphiql/static",
);

const PACKAGES = {
  "react@18.2.0": {
    "umd/react.production.min.js": [
      "react.production.min.js",
      "tMH8h3BGESGckSAVGZ82T9n90ztNXxvdwvdM6UoR56cYcf+0iGXBliJ29D+wZ/x8",
    ],
  },
  "react-dom@18.2.0": {
    "umd/react-dom.production.min.js": [
      "react-dom.production.min.js",
      "bm7MnzvK++ykSwVJ2tynSE5TRdN+xL418osEVF2DE/L/gfWHj91J2Sphe582B1Bh",
    ],
  },
  "graphiql@3.8.3": {
    "graphiql.min.js": ["graphiql.min.js", "HbRVEFG0JGJZeAHCJ9Xm2+tpknBQ7QZmNlO/DgZtkZ0aJSypT96YYGRNod99l9Ie"],
    "graphiql.min.css": ["graphiql.min.css", "Mq3vbRBY71jfjQAt/DcjxUIYY33ksal4cgdRt9U/hNPvHBCaT2JfJ/PTRiPKf0aM"],
  },
  "@graphiql/plugin-explorer@1.0.2": {
    "dist/index.umd.js": [
      "plugin-explorer.umd.js",
      "2oonKe47vfHIZnmB6ZZ10vl7T0Y+qrHQF2cmNTaFDuPshpKqpUMGMc9jgj9MLDZ9",
    ],
    "dist/style.css": ["plugin-explorer.css", "5DFJlDPW2tSATRbM8kzoP1j194jexLswuNmClWoRr2Q0x7R68JIQzPHZ02Faktwi"],
  },
};
// Embedded in graphiql.min.css as data; these packages carry the fonts' licences.
const FONTS = { "Fira Code": "@fontsource/fira-code@5.3.0", Roboto: "@fontsource/roboto@5.3.0" };
const EXPLORER = "graphiql-explorer@0.9.0"; // inside plugin-explorer.umd.js
// Inside graphiql.min.js without being its dependencies.
const BUNDLED = [
  "graphql@16.9.0",
  "graphql-ws@5.16.0",
  "isarray@2.0.5",
  "@babel/runtime@7.26.0",
  "@radix-ui/react-use-escape-keydown@1.1.0",
];

const work = mkdtempSync(path.join(tmpdir(), "graphiql-"));
try {
  const modules = install();
  copyFiles(modules);
  writeFileSync(path.join(STATIC, "LICENSES.txt"), licences(modules));
} finally {
  rmSync(work, { recursive: true, force: true });
}

function install() {
  const names = [...Object.keys(PACKAGES), ...Object.values(FONTS), EXPLORER, ...BUNDLED];
  writeFileSync(path.join(work, "package.json"), '{"private": true}');
  const options = ["--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-package-lock", "--save-exact"];
  execFileSync("npm", ["install", ...options, ...names], { cwd: work, stdio: ["ignore", "ignore", "inherit"] });
  return path.join(work, "node_modules");
}

function nameOf(spec) {
  return spec.slice(0, spec.lastIndexOf("@"));
}

function copyFiles(modules) {
  const vendor = path.join(STATIC, "vendor");
  rmSync(vendor, { recursive: true, force: true });
  mkdirSync(vendor, { recursive: true });
  for (const [spec, files] of Object.entries(PACKAGES)) {
    for (const [source, [target, expected]] of Object.entries(files)) {
      const content = readFileSync(path.join(modules, nameOf(spec), source));
      const hash = createHash("sha384").update(content).digest("base64");
      if (hash !== expected) throw new Error(`${spec}: ${source} has the hash ${hash}, not ${expected}`);
      writeFileSync(path.join(vendor, target), content);
      console.log(`${target}  ${content.length}`);
    }
  }
}

// Every package that was bundled into graphiql.min.js left its path in it.
function bundledPackages() {
  const bundle = readFileSync(path.join(STATIC, "vendor/graphiql.min.js"), "utf8");
  const paths = bundle.matchAll(/"(?:\.\.\/)+node_modules\/((?:@[^/"]+\/)?[^/"]+)/g);
  return [...new Set([...paths].map((match) => match[1]))].filter((name) => name !== "react").sort();
}

function licences(modules) {
  const direct = Object.keys(PACKAGES).map(nameOf);
  const inside = ["@graphiql/react", "@graphiql/toolkit", ...bundledPackages()];
  const byText = new Map();
  const add = (label, folder) => {
    const text = licenceText(folder);
    byText.set(text, [...(byText.get(text) ?? []), label]);
  };
  for (const name of direct) add(name, path.join(modules, name));
  for (const name of inside) add(`${name} (in graphiql.min.js)`, path.join(modules, name));
  add(`${nameOf(EXPLORER)} (in plugin-explorer.umd.js)`, path.join(modules, nameOf(EXPLORER)));
  for (const [font, spec] of Object.entries(FONTS)) {
    add(`the font ${font} (in graphiql.min.css)`, path.join(modules, nameOf(spec)));
  }
  const sections = [...byText].map(([text, labels]) => `${"=".repeat(78)}\n${labels.join("\n")}\n${"=".repeat(78)}\n\n${text}\n`);
  return `The files in vendor/ are the work of others, taken unchanged from the npm packages\n${Object.keys(PACKAGES).join(", ")}.\nWritten by scripts/vendor_graphiql.mjs.\n\n${sections.join("\n")}`;
}

function licenceText(folder) {
  if (!existsSync(folder)) throw new Error(`no package in ${folder}`);
  const file = readdirSync(folder).find((name) => /^licen[cs]e[-\w]*(\.md|\.txt)?$/i.test(name));
  if (file) return readFileSync(path.join(folder, file), "utf8").replaceAll("\r\n", "\n").trim();
  const { license, author } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));
  const by = typeof author === "string" ? author : author?.name;
  return `Licence, as package.json names it: ${license}.${by ? ` Author: ${by}.` : ""}`;
}
