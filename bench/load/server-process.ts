import { startServer } from '../../server/src/app.ts'
import { readConfig } from '../../server/src/config.ts'

// A whole server in a process of its own, so that its processor time can be read apart from the load's.
process.once('message', ({ data }: { data: string }) => {
  const config = readConfig({
    data,
    hubs: [{ hosts: ['localhost'] }],
    provisioning: { hosts: ['localhost'] },
    listen: { address: '127.0.0.1', mqtt: 0, https: 0, amqp: 0 },
    limits: { unauthenticated: 20_000, unauthenticatedPerAddress: 20_000 },
    log: { level: 'error' },
  })
  startServer(config).then(
    (server) => {
      process.send?.({
        ports: server.ports,
        idScope: server.idScope,
        rootFile: server.rootFile,
        tokenFile: server.managementTokenFile,
      })
      process.on('message', (question) => {
        if (question === 'usage') process.send?.({ cpu: process.cpuUsage(), rss: process.memoryUsage.rss() })
        if (question === 'stop') void server.close().then(() => process.exit(0))
      })
    },
    (error: Error) => {
      process.stderr.write(`${error.message}\n`)
      process.exit(1)
    },
  )
})
