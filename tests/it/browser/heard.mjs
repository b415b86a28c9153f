// Tells of each file what the browser heard of it: the test of the tests.
import { basename } from "node:path";
import { open, withBrowser } from "./open.mjs";

await withBrowser(async (browser) => {
  for (const path of process.argv.slice(2)) {
    const { heard, close } = await open(browser, path);
    console.log(`${basename(path, ".html")}: ${heard.join("; ") || "nothing"}`);
    await close();
  }
});
