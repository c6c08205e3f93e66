import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Gives an order to a load process of its own and waits for its report. */
export function runLoad<Order extends object, Report>(file: string, order: Order): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv: ['--conditions=source'] })
    child.once('message', (answer: { report?: Report; error?: string }) => {
      if (answer.report) resolve(answer.report)
      else reject(new Error(`the load failed: ${answer.error ?? 'no reason given'}`))
    })
    child.once('error', reject)
    child.once('exit', (code) => code !== 0 && reject(new Error(`the load process ended with ${code}`)))
    child.send(order)
  })
}
