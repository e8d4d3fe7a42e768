// Opens a file in a browser, which then answers from it and nothing else, and asks for
// what is in it: node open.mjs BROWSER FILE REQUESTS
//
// REQUESTS is a JSON array of {method, url, headers, body}. What the page was answered is
// printed as a JSON array of {status, type, body}; status 0 is no answer.
import { chromium } from "playwright-core";

const [executablePath, file, requests] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: process.geteuid() === 0 ? ["--no-sandbox"] : [] });
try {
  const answers = [];
  for (const { method, url, headers, body } of JSON.parse(requests)) {
    const page = await (await browser.newContext()).newPage();
    await page.route("**/__empty", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html>" }));
    await page.routeFromHAR(file, { notFound: "abort", url: /^(?!.*\/__empty$)/ });
    if (method === "GET") {
      // As a person would: by going there.
      const response = await page.goto(url).catch(() => null);
      answers.push(response ? { status: response.status(), type: response.headers()["content-type"], body: await response.text() } : { status: 0 });
      continue;
    }
    await page.goto(new URL("/__empty", url).href); // a page of the same origin may ask
    answers.push(
      await page.evaluate(
        async ({ method, url, headers, body }) => {
          const response = await fetch(url, { method, headers, body });
          return { status: response.status, type: response.headers.get("content-type"), body: await response.text() };
        },
        { method, url, headers, body },
      ),
    );
  }
  console.log(JSON.stringify(answers));
} finally {
  await browser.close();
}
