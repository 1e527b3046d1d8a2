// A turn of Vercel's AI SDK, with a tool and its own defaults: node vercel.mjs URL KEY MODEL plain|stream FILE TEXT
// FILE: the messages so far, and then with this turn's.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";

const [baseURL, apiKey, model, form, file, text] = process.argv.slice(2);
const before = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
const messages = [...before, { role: "user", content: text }];
const asked = {
  model: createOpenAI({ baseURL, apiKey })(model),
  system: "Be brief.",
  messages,
  tools: {
    look_up: tool({
      description: "Looks something up.",
      inputSchema: z.object({ x: z.string() }),
      execute: async ({ x }) => `found ${x}`,
    }),
  },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
  onError: ({ error }) => {
    throw error;
  },
};
const result = form === "plain" ? await generateText(asked) : streamText(asked);
const said = await result.text;
const response = await result.response;
writeFileSync(file, JSON.stringify([...messages, ...response.messages]));
console.log(said);
