import assert from 'node:assert/strict'
import { test } from 'node:test'
import iothub from 'azure-iothub'
import { lead, startServer } from './running-server.ts'
import type { RunningServer } from './running-server.ts'

const { Registry } = iothub

async function registryOf(server: RunningServer, policy?: string) {
  const registry = Registry.fromConnectionString(await server.hubConnectionString(policy))
  lead(registry, '_restApiClient', server.agent())
  return registry
}

test('a device is created, read, listed, updated and deleted by the service SDK', async (t) => {
  const server = await startServer(t)
  const registry = await registryOf(server)

  const created = (await registry.create({ deviceId: 'press-1' })).responseBody
  assert.equal(created.deviceId, 'press-1')
  assert.equal(created.status, 'enabled')
  assert.equal(created.connectionState, 'Disconnected')
  assert.ok((created.authentication?.symmetricKey?.primaryKey ?? '').length >= 24)

  await assert.rejects(registry.create({ deviceId: 'press-1' }), { name: 'DeviceAlreadyExistsError' })
  assert.equal((await registry.get('press-1')).responseBody.etag, created.etag)
  await assert.rejects(registry.get('Press-1'), { name: 'DeviceNotFoundError' })

  const updated = await registry.update(Object.assign(created, { status: 'disabled', statusReason: 'in repair' }))
  assert.equal(updated.responseBody.status, 'disabled')
  assert.equal(updated.responseBody.statusReason, 'in repair')
  assert.deepEqual(
    (await registry.list()).responseBody.map(({ deviceId }) => deviceId),
    ['press-1'],
  )
  assert.deepEqual((await registry.getRegistryStatistics()).responseBody, {
    totalDeviceCount: 1,
    enabledDeviceCount: 0,
    disabledDeviceCount: 1,
  })
  await registry.delete('press-1')
  await assert.rejects(registry.get('press-1'), { name: 'DeviceNotFoundError' })
})

test('ids with every allowed character arrive as they are', async (t) => {
  const server = await startServer(t)
  const registry = await registryOf(server)
  for (const deviceId of ["aZ09-:.+%_#*?!(),=@;$'", 'a%2Fb', 'Query', '%', 'x'.repeat(128)]) {
    await registry.create({ deviceId })
    assert.equal((await registry.get(deviceId)).responseBody.deviceId, deviceId)
    await registry.delete(deviceId)
  }
})

test('bulk changes report each device by itself', async (t) => {
  const server = await startServer(t)
  const registry = await registryOf(server)
  const devices = ['a', 'b', 'c'].map((deviceId) => ({ deviceId }))
  const added = (await registry.addDevices(devices)).responseBody
  assert.deepEqual([added.isSuccessful, added.errors], [true, []])

  await assert.rejects(
    registry.addDevices([{ deviceId: 'c' }, { deviceId: 'd' }]),
    (error: Error & { responseBody?: string }) => {
      const body = JSON.parse(error.responseBody ?? '')
      assert.equal(body.isSuccessful, false)
      assert.deepEqual(
        body.errors.map(({ deviceId, errorCode }: Record<string, string>) => [deviceId, errorCode]),
        [['c', 'DeviceAlreadyExists']],
      )
      return true
    },
  )
  const current = (await registry.get('a')).responseBody
  const changed = await registry.updateDevices([Object.assign(current, { status: 'disabled' })], false)
  assert.equal(changed.responseBody.isSuccessful, true)
  await assert.rejects(registry.updateDevices([current], false), { name: 'ArgumentError' })
  assert.equal((await registry.removeDevices(devices, true)).responseBody.isSuccessful, true)
  assert.equal((await registry.getRegistryStatistics()).responseBody.totalDeviceCount, 1)
})

test('a fresh twin is read with its metadata', async (t) => {
  const server = await startServer(t)
  const registry = await registryOf(server)
  await registry.addDevices([
    {
      deviceId: 'lamp',
      tags: { site: 'a' },
      properties: { desired: { light: { level: 3 }, colours: ['red'] } },
    },
  ])
  const twin = (await registry.getTwin('lamp')).responseBody
  assert.equal(twin.deviceId, 'lamp')
  assert.deepEqual(twin.tags, { site: 'a' })
  const { $metadata, $version, ...desired } = twin.properties.desired
  assert.deepEqual(desired, { light: { level: 3 }, colours: ['red'] })
  assert.equal($version, 1)
  assert.deepEqual(Object.keys($metadata.light), ['$lastUpdated', '$lastUpdatedVersion', 'level'])
  assert.match($metadata.light.level.$lastUpdated, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/)
  assert.deepEqual(twin.properties.reported.$version, 1)
})

test('a policy does only what it may', async (t) => {
  const server = await startServer(t)
  const reader = await registryOf(server, 'registryRead')
  await (await registryOf(server, 'registryReadWrite')).create({ deviceId: 'd' })
  await reader.get('d')
  await assert.rejects(reader.create({ deviceId: 'e' }), { name: 'UnauthorizedError' })
  await assert.rejects(reader.getTwin('d'), { name: 'UnauthorizedError' })
  const backEnd = await registryOf(server, 'service')
  await backEnd.getTwin('d')
  await assert.rejects(backEnd.get('d'), { name: 'UnauthorizedError' })
})

test('operations that are not offered say so by name', async (t) => {
  const server = await startServer(t)
  const registry = await registryOf(server)
  const attempts = [
    () => registry.updateTwin('d', { tags: {} }, '*'),
    () => registry.addModule({ deviceId: 'd', moduleId: 'm' }),
    () => registry.createQuery('SELECT * FROM devices').next(),
    () => registry.getConfigurations(),
    () => registry.listJobs(),
  ]
  for (const attempt of attempts) {
    await assert.rejects(attempt(), (error: Error & { response?: { statusCode: number }; responseBody?: string }) => {
      assert.equal(error.response?.statusCode, 501)
      assert.match(error.responseBody ?? '', /ErrorCode:NotImplemented;.+ is not offered by this server/)
      return true
    })
  }
})
