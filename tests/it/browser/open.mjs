// One headless Chromium for a whole script, and pages of which every request, console message and error is kept.
//
// The modules stand in the folder that `scripts/test` installs them in; the scripts are run there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = createRequire(`${process.cwd()}/`);
const { chromium } = installed("playwright-core");

// What a browser does by itself, and no page asks for.
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

/** The text of a file of an installed module. */
export function module(path) {
  return readFileSync(installed.resolve(path), "utf8");
}

/** Starts the browser, with a folder of its own, for as long as `use` takes. */
export async function withBrowser(use) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, headless: true, args: QUIET });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Opens a file in a context of its own. `heard` holds what went wrong since: requests for anything but the file, which
 * are not let through, warnings and errors on the console, and errors of the page.
 */
export async function open(browser, path, options = {}) {
  const url = pathToFileURL(path).href;
  const heard = [];
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  await context.route("**/*", (route) => {
    const asked = route.request().url();
    if (asked.split("#")[0] === url) return route.continue();
    heard.push(`request for ${asked}`);
    return route.abort();
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) heard.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => heard.push(`error in the page: ${error.message}`));
  page.on("crash", () => heard.push("the page crashed"));
  await page.goto(url, { waitUntil: "load" });
  return { page, heard, close: () => context.close() };
}
