// Bundles the pages' scripts and fonts into static/dist; manifest.json says which file each name became.
// Run by `python -m everfix.web.assets`.
import { build } from "esbuild";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const final = join(here, "static", "dist");
const part = join(here, "static", `.dist-${process.pid}`);

await mkdir(part, { recursive: true });
try {
  const made = await build({
    absWorkingDir: here,
    entryPoints: [
      { in: "client/app.js", out: "app" },
      { in: "client/charts.js", out: "charts" },
      { in: "client/explorer.js", out: "explorer" },
      { in: "client/explorer.css", out: "explorer-looks" },
      { in: "client/fonts.css", out: "fonts" },
    ],
    entryNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    outdir: part,
    bundle: true,
    minify: true,
    format: "iife",
    target: ["es2022"],
    legalComments: "linked",
    loader: { ".woff2": "file" },
    metafile: true,
    logLevel: "warning",
  });
  const names = {};
  for (const [file, output] of Object.entries(made.metafile.outputs)) {
    if (output.entryPoint) names[output.entryPoint.split("/").pop()] = relative(part, join(here, file));
  }
  await writeFile(join(part, "manifest.json"), JSON.stringify(names, null, 1));
  await rm(final, { recursive: true, force: true });
  await rename(part, final);
} finally {
  await rm(part, { recursive: true, force: true });
}
