// Evaluates flags with flagd's JavaScript core in its default, compiled mode.
//
// Each line of the standard input is {"document": a flag document as a text, "asks": [{"key",
// "type", "context"}]}. The answer is a line {"error"} where the document is refused, or else
// {"answers": [{"value", "variant", "reason", "code"}]}. Type is "any", "boolean", "string",
// "number" or "object".
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const { FlagdCore } = createRequire(import.meta.url)('@openfeature/flagd-core')
const none = () => {}
const logger = { error: none, warn: none, info: none, debug: none }
const defaults = { boolean: false, string: '', number: 0, object: {} }

function ask (core, { key, type, context }) {
  if (type === 'any') {
    const flag = core.getFlag(key)
    if (!flag) return { code: 'FLAG_NOT_FOUND' }
    if (flag.state === 'DISABLED') return { reason: 'DISABLED' }
    const { value, variant, reason, errorCode: code } = flag.evaluate(context, logger)
    return { value, variant, reason, code }
  }
  const fallback = defaults[type]
  const { value, variant, reason, errorCode: code } = core.resolve(type, key, fallback, context, logger)
  return { value: value === fallback && variant === undefined ? undefined : value, variant, reason, code }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { document, asks } = JSON.parse(line)
  const core = new FlagdCore(undefined, logger)
  let answer
  try {
    core.setConfigurations(document)
    answer = { answers: asks.map((one) => ask(core, one)) }
  } catch (err) {
    answer = { error: String(err.message) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
