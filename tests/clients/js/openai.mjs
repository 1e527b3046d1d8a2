// A turn of OpenAI's JavaScript client, with a tool: node openai.mjs URL KEY MODEL plain|stream FILE TEXT
// FILE: the id of the response that it follows, and then its own.
import OpenAI from "openai";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const [baseURL, apiKey, model, form, file, text] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const parameters = { type: "object", properties: { x: { type: "string" } } };
const tools = [{ type: "function", name: "look_up", description: "Looks something up.", parameters }];

async function ask(input, previous_response_id) {
  const params = { model, input, tools, instructions: "Be brief.", previous_response_id };
  if (form === "plain") return client.responses.create(params);
  return client.responses.stream(params).finalResponse();
}

let response = await ask(text, existsSync(file) ? readFileSync(file, "utf8") : undefined);
for (;;) {
  const calls = response.output.filter((item) => item.type === "function_call");
  if (calls.length === 0) break;
  const results = calls.map((call) => ({
    type: "function_call_output",
    call_id: call.call_id,
    output: `found ${JSON.parse(call.arguments).x}`,
  }));
  response = await ask(results, response.id);
}
writeFileSync(file, response.id);
console.log(response.output_text);
