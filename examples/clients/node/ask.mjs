// Chat, stream, tools and errors with the `openai` package: node ask.mjs [BASE_URL] [KEY]
import OpenAI from "openai";

const [baseURL = "http://127.0.0.1:8000/v1", apiKey = "none"] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const said = await client.chat.completions.create({ model: "sadari", messages: [{ role: "user", content: "안녕하세요" }] });
console.log(said.choices[0].message.content, said.sadari.run);

const stream = await client.chat.completions.create({
  model: "sadari-raw",
  messages: [{ role: "user", content: "안녕하세요" }],
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "\n");

const response = await client.responses.create({ model: "sadari", input: "안녕하세요" });
console.log(response.output_text);
const events = await client.responses.create({ model: "sadari-raw", input: "안녕하세요", stream: true });
for await (const event of events) if (event.type === "response.output_text.done") console.log(event.text);

// The raw model asks for a tool, this program runs it: `runTools` sends its result back until there is an answer.
const runner = client.chat.completions.runTools({
  model: "sadari-raw",
  messages: [{ role: "user", content: "부산 날씨 알려줘" }],
  tools: [
    {
      type: "function",
      function: {
        name: "weather",
        description: "Weather of a city.",
        parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
        parse: JSON.parse,
        function: () => "오늘 맑음",
      },
    },
  ],
});
console.log(await runner.finalContent());

try {
  await client.chat.completions.create({ model: "no-such-model", messages: [{ role: "user", content: "?" }] });
} catch (error) {
  console.log(error.constructor.name, error.status, error.message);
}
